// Said quietly while the gateway cannot be heard.
import { useLost } from '../api/live.ts';

export function Lost() {
	const lost = useLost();
	return (
		<div class="lost" role="status">
			{lost && <p>Connection lost, trying again…</p>}
		</div>
	);
}
