// What people see a device called. Its name in the address stays.
import { useState } from 'preact/hooks';
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Device } from '../api/types.ts';
import { announce } from '../parts/announce.tsx';
import { Field } from '../parts/field.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAction } from '../parts/use_action.ts';

export function DeviceRename({ device }: { device: Device }) {
	const [title, setTitle] = useState(device.title);
	const { busy, failure, run } = useAction();
	const submit = (event: SubmitEvent) => {
		event.preventDefault();
		void run(async () => {
			await call('patch', '/devices/{name}',
				{ params: { name: device.name }, body: { title: title.trim() } });
			announce(`Renamed to ${title.trim()}`);
			refresh('/devices');
			refresh('/launcher');
		});
	};
	return (
		<form class="card" onSubmit={submit}>
			<Field label="Called" value={title} onInput={setTitle} required maxLength={48}
				hint="What people see. The address stays the same." />
			{failure && <Problem failure={failure} />}
			<button class="plain" type="submit" aria-disabled={busy}>Rename</button>
		</form>
	);
}
