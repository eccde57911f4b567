// The code itself: as a picture and as a command. It is known only to the tab that asked for it.
import { useState } from 'preact/hooks';
import { call } from '../api/client.ts';
import type { Device } from '../api/types.ts';
import { keepPairing, pairingOf } from '../lib/pairings.ts';
import { Ago } from '../parts/ago.tsx';
import { Copy } from '../parts/copy.tsx';
import { Problem } from '../parts/problem.tsx';
import { Qr } from '../parts/qr.tsx';
import { useAction } from '../parts/use_action.ts';

export function PairCode({ device }: { device: Device }) {
	const [pairing, setPairing] = useState(pairingOf(device.name));
	const { busy, failure, run } = useAction();
	const again = () => run(async () => {
		const made = await call('post', '/devices/{name}/pair', { params: { name: device.name } });
		keepPairing(made);
		setPairing(made);
	});
	if (!pairing) {
		return (
			<section class="card">
				<h2>A code for the device</h2>
				<p class="soft">A code is shown only once. Make a new one; an earlier one stops
					working then.</p>
				{failure && <Problem failure={failure} />}
				<div class="actions">
					<button type="button" aria-disabled={busy} onClick={again}>Make a code</button>
				</div>
			</section>
		);
	}
	return (
		<section class="card">
			<h2>Show this code to the device</h2>
			<p class="soft">Good for one device. It expires <Ago at={pairing.expires} />.</p>
			<Qr text={pairing.token} label={`Pairing code for ${device.title}`} />
			<h2>Or run this on the device</h2>
			<p class="soft">As root, once the agent is installed there.</p>
			<Copy text={pairing.command} what="the command" />
		</section>
	);
}
