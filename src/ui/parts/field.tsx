// A labelled input with its hint.
import type { TargetedInputEvent } from 'preact';
import { useId } from 'preact/hooks';

interface Props {
	label: string;
	value: string;
	onInput: (value: string) => void;
	hint?: string;
	secret?: boolean;
	required?: boolean;
	pattern?: string;
	maxLength?: number;
	minLength?: number;
	autoComplete?: string;
	literal?: boolean; // a word for machines: no capitals, no spelling
	wrong?: string | null;
}

export function Field({ label, value, onInput, hint, secret, literal, wrong,
	autoComplete = 'off', ...rest }: Props) {
	const id = useId();
	const shared = {
		...rest, id, value, autocomplete: autoComplete,
		...(rest.pattern && hint && { title: hint }), // browsers say it with their refusal
		...(literal && { autocapitalize: 'none' as const, spellcheck: false }),
		...((hint || wrong) && { 'aria-describedby': id + 'h' }),
		...(wrong && { 'aria-invalid': true }),
		onInput: (event: TargetedInputEvent<HTMLInputElement>) => onInput(event.currentTarget.value),
	};
	return (
		<div>
			<label for={id}>{label}</label>
			{secret ? <input type="password" {...shared} /> : <input type="text" {...shared} />}
			{(wrong || hint) && (
				<p class={wrong ? 'told bad' : 'told'} id={id + 'h'}>{wrong || hint}</p>
			)}
		</div>
	);
}
