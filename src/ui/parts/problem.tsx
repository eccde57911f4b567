// A failure in words: what happened and what helps.
import type { ComponentChildren } from 'preact';
import type { Failure } from '../api/client.ts';
import { sentence } from '../lib/words.ts';
import { Icon } from './icon.tsx';

interface Props {
	failure: Pick<Failure, 'message' | 'remedy'>;
	children?: ComponentChildren;
}

export function Problem({ failure, children }: Props) {
	return (
		<div class="note bad" role="alert">
			<Icon name="warn" />
			<div>
				<b>{sentence(failure.message)}</b>
				{failure.remedy && <p>{sentence(failure.remedy)}</p>}
				{children && <div class="actions">{children}</div>}
			</div>
		</div>
	);
}
