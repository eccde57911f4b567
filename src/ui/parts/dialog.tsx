// A question in front of the page. The browser's own dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';

interface Props {
	title: string;
	onClose: () => void;
	children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: Props) {
	const box = useRef<HTMLDialogElement>(null);
	const id = useId();
	useEffect(() => {
		const from = document.activeElement;
		box.current?.showModal();
		return () => {
			if (from instanceof HTMLElement && from.isConnected)
				from.focus();
		};
	}, []);
	return (
		<dialog ref={box} aria-labelledby={id} onClose={onClose}
			onClick={(event) => {
				if (event.target === box.current)
					box.current?.close();
			}}>
			<div class="inside">
				<h2 id={id}>{title}</h2>
				{children}
			</div>
		</dialog>
	);
}
