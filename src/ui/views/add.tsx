// Adding a device begins with its name.
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { call } from '../api/client.ts';
import { keepPairing } from '../lib/pairings.ts';
import { Field } from '../parts/field.tsx';
import { Page } from '../parts/page.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAction } from '../parts/use_action.ts';

// "Living room TV" → "living-room-tv": what a host may be called.
function labelFrom(title: string): string {
	return title.normalize('NFKD').replace(/[\u0300-\u036f]/g, '').toLowerCase()
		.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63);
}

export function Add() {
	const { route } = useLocation();
	const [title, setTitle] = useState('');
	const [name, setName] = useState('');
	const { busy, failure, run } = useAction();
	const label = name || labelFrom(title);
	const submit = (event: SubmitEvent) => {
		event.preventDefault();
		void run(async () => {
			const pairing = await call('post', '/devices', { body: { name: label, title } });
			keepPairing(pairing);
			route(`/devices/${pairing.name}/pair`);
		});
	};
	return (
		<Page title="Add a device" back={{ href: '/devices', text: 'Devices' }}
			lead="First its name. Then you get a code to show to the device.">
			<form class="card" onSubmit={submit}>
				<Field label="What is it called?" value={title} onInput={setTitle} required
					maxLength={48} hint="As people should see it, for example Television" />
				<Field label="Name in the address" value={label} literal required maxLength={63}
					pattern="[a-z0-9]([a-z0-9\-]*[a-z0-9])?" onInput={setName}
					hint={`It will be at https://${label || 'name'}.${location.host}/`} />
				{failure && <Problem failure={failure} />}
				<button type="submit" aria-disabled={busy}>Add the device</button>
			</form>
		</Page>
	);
}
