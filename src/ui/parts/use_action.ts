// Something a person asked for: under way, failed, or done. While it is under way another one is
// ignored; controls say so by aria-disabled and so keep the focus.
import { useEffect, useRef, useState } from 'preact/hooks';
import { Failure } from '../api/client.ts';

export interface Action {
	busy: boolean;
	failure: Failure | null;
	run: (work: () => Promise<void>) => Promise<void>;
	clear: () => void;
}

export function useAction(): Action {
	const [busy, setBusy] = useState(false);
	const [failure, setFailure] = useState<Failure | null>(null);
	const here = useRef(true);
	const running = useRef(false);
	useEffect(() => {
		here.current = true;
		return () => {
			here.current = false;
		};
	}, []);
	const run = async (work: () => Promise<void>) => {
		let ended: Failure | null = null;
		if (running.current)
			return;
		running.current = true;
		setBusy(true);
		setFailure(null);
		try {
			await work();
		} catch (error) {
			ended = error instanceof Failure ? error
				: new Failure(0, 'internal', 'Something went wrong in this page', null);
		}
		running.current = false;
		if (here.current) {
			setFailure(ended);
			setBusy(false);
		}
	};
	return { busy, failure, run, clear: () => setFailure(null) };
}
