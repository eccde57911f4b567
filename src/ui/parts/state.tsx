// A mark and words; the mark says nothing that the words do not.
import type { Said } from '../lib/device_state.ts';

export function State({ said }: { said: Said }) {
	return <span class={`state ${said.tone}`}>{said.words}</span>;
}
