// One quiet voice for screen readers: what has just been done.
import { useEffect, useState } from 'preact/hooks';

let speak: (words: string) => void = () => {};

export function announce(words: string): void {
	speak(words);
}

export function Announcer() {
	const [words, setWords] = useState('');
	useEffect(() => {
		speak = (next) => {
			setWords('');
			setTimeout(() => setWords(next), 50);
		};
		return () => {
			speak = () => {};
		};
	}, []);
	return <p class="hidden" role="status" aria-live="polite">{words}</p>;
}
