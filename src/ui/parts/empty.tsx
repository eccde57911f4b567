// Nothing here yet, and how it begins.
import type { ComponentChildren } from 'preact';
import { Icon } from './icon.tsx';
import type { IconName } from './icon.tsx';

interface Props {
	icon: IconName;
	title: string;
	children?: ComponentChildren;
}

export function Empty({ icon, title, children }: Props) {
	return (
		<div class="empty">
			<Icon name={icon} />
			<h2>{title}</h2>
			{children}
		</div>
	);
}
