// Whether one person may open one device.
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Device, User } from '../api/types.ts';
import { announce } from './announce.tsx';
import { Problem } from './problem.tsx';
import { Tick } from './tick.tsx';
import { useAction } from './use_action.ts';

interface Props {
	user: User;
	device: Pick<Device, 'name' | 'title'>;
	label: string;
}

export function Grant({ user, device, label }: Props) {
	const { busy, failure, run } = useAction();
	const open = user.devices.includes(device.name);
	const change = () => run(async () => {
		const params = { name: user.name, device: device.name };
		await call(open ? 'delete' : 'put', '/users/{name}/devices/{device}', { params });
		const who = user.display || user.name;
		announce(open ? `${device.title} is closed to ${who}` : `${device.title} is open to ${who}`);
		refresh('/users');
	});
	return (
		<div>
			<Tick label={label} on={open} busy={busy} onChange={change} />
			{failure && <Problem failure={failure} />}
		</div>
	);
}
