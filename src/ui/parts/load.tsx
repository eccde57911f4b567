// The states before there is something to show: on its way, or not to be had.
import type { ComponentChildren } from 'preact';
import type { Loaded } from '../api/cache.ts';
import { Problem } from './problem.tsx';

interface Props<T> {
	of: Loaded<T>;
	ghosts?: number;
	children: (data: T) => ComponentChildren;
}

export function Load<T>({ of, ghosts = 3, children }: Props<T>) {
	const { data, failure, again } = of;
	if (data !== undefined)
		return <>{children(data)}</>;
	if (failure) {
		return (
			<Problem failure={failure}>
				<button class="plain" type="button" onClick={again}>Try again</button>
			</Problem>
		);
	}
	return (
		<div class="stack" role="status">
			<span class="hidden">Loading…</span>
			{Array.from({ length: ghosts }, (_, i) => <div class="ghost" key={i} />)}
		</div>
	);
}
