// A question in front of the page. The browser's own dialog keeps the focus inside and gives it back.
import type { ComponentChildren } from 'preact';
import { useId, useLayoutEffect, useRef } from 'preact/hooks';

interface Props {
	title: string;
	onClose: () => void;
	children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: Props) {
	const box = useRef<HTMLDialogElement>(null);
	const id = useId();
	useLayoutEffect(() => {
		const from = document.activeElement;
		const dialog = box.current;
		dialog?.showModal();
		return () => {
			dialog?.close();
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
