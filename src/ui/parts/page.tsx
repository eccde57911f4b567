// One view: its heading, what may be done here, and its content. When a view replaces another, its
// heading takes the focus, so that keyboards and screen readers go on from there.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';

interface Props {
	title: string;
	lead?: ComponentChildren;
	action?: ComponentChildren;
	back?: { href: string; text: string };
	wide?: boolean;
	children: ComponentChildren;
}

let shownBefore = false;

export function Page({ title, lead, action, back, wide, children }: Props) {
	const heading = useRef<HTMLHeadingElement>(null);
	useEffect(() => {
		if (shownBefore) {
			window.scrollTo(0, 0);
			heading.current?.focus({ preventScroll: true });
		}
		shownBefore = true;
	}, []);
	useEffect(() => {
		document.title = `${title} – Lanthorn`;
	}, [title]);
	return (
		<main class={wide ? 'page wide' : 'page'} id="page">
			{back && <a class="back" href={back.href}><Icon name="back" />{back.text}</a>}
			<div class="head">
				<div>
					<h1 tabIndex={-1} ref={heading}>{title}</h1>
					{lead && <p class="soft">{lead}</p>}
				</div>
				{action}
			</div>
			{children}
		</main>
	);
}
