// Text to take elsewhere, and the button that takes it.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Icon } from './icon.tsx';

interface Props {
	text: string;
	what: string; // "the link": for the names of both
}

export function Copy({ text, what }: Props) {
	const code = useRef<HTMLElement>(null);
	const [told, setTold] = useState('');
	useEffect(() => {
		if (!told)
			return undefined;
		const timer = setTimeout(() => setTold(''), 4000);
		return () => clearTimeout(timer);
	}, [told]);
	const take = async () => {
		try {
			await navigator.clipboard.writeText(text);
			setTold('Copied');
		} catch {
			if (code.current)
				getSelection()?.selectAllChildren(code.current);
			setTold('Selected: copy it by hand');
		}
	};
	return (
		<div class="copy">
			<code ref={code} tabIndex={0} role="group" aria-label={what}>{text}</code>
			<div class="row">
				<button class="plain" type="button" onClick={take}>
					<Icon name={told === 'Copied' ? 'tick' : 'copy'} />Copy {what}
				</button>
				<span class="told" role="status">{told}</span>
			</div>
		</div>
	);
}
