// Who may open a device.
import { useApi } from '../api/cache.ts';
import type { Device } from '../api/types.ts';
import { listed } from '../lib/words.ts';
import { Grant } from '../parts/grant.tsx';
import { Load } from '../parts/load.tsx';

export function DevicePeople({ device }: { device: Device }) {
	const people = useApi('/users');
	return (
		<section class="card">
			<h2>Who may open it</h2>
			<Load of={people} ghosts={1}>
				{({ users }) => {
					const admins = users.filter((user) => user.admin);
					const others = users.filter((user) => !user.admin);
					return (
						<>
							<p class="soft">
								{listed(admins.map((user) => user.display || user.name))}
								{admins.length === 1 ? ' looks' : ' look'} after this home and
								may open everything.
							</p>
							{others.map((user) => (
								<Grant key={user.name} user={user} device={device}
									label={user.display || user.name} />
							))}
						</>
					);
				}}
			</Load>
		</section>
	);
}
