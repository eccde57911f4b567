// Removing a person.
import { useLocation } from 'preact-iso';
import { useState } from 'preact/hooks';
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { User } from '../api/types.ts';
import { announce } from '../parts/announce.tsx';
import { Confirm } from '../parts/confirm.tsx';

export function PersonEnd({ user }: { user: User }) {
	const [asked, setAsked] = useState(false);
	const { route } = useLocation();
	const called = user.display || user.name;
	const remove = async () => {
		await call('delete', '/users/{name}', { params: { name: user.name } });
		announce(`${called} has been removed`);
		route('/people');
		refresh('/users');
	};
	return (
		<section class="card">
			<h2>Remove {called}</h2>
			<p class="soft">They are signed out everywhere at once.</p>
			<div class="actions">
				<button class="plain bad" type="button" onClick={() => setAsked(true)}>
					Remove {called}
				</button>
			</div>
			{asked && (
				<Confirm title={`Remove ${called}?`} verb="Remove" work={remove}
					onClose={() => setAsked(false)}>
					<p>They will not be able to sign in again, unless you invite them anew.</p>
				</Confirm>
			)}
		</section>
	);
}
