// Which devices a person may open.
import { useApi } from '../api/cache.ts';
import type { User } from '../api/types.ts';
import { Grant } from '../parts/grant.tsx';
import { Load } from '../parts/load.tsx';

export function PersonDevices({ user }: { user: User }) {
	const all = useApi('/devices');
	return (
		<section class="card">
			<h2>Devices</h2>
			{user.admin ? <p class="soft">Looks after this home and may open everything.</p> : (
				<Load of={all} ghosts={2}>
					{({ devices }) => devices.length === 0
						? <p class="soft">There are no devices yet.</p>
						: devices.map((device) => (
							<Grant key={device.name} user={user} device={device}
								label={device.title} />
						))}
				</Load>
			)}
		</section>
	);
}
