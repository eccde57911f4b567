// One person: what is open to them, where they are signed in, a new link, and their end.
import { useRoute } from 'preact-iso';
import { useApi } from '../api/cache.ts';
import { useMe } from '../api/me.ts';
import type { User } from '../api/types.ts';
import { personState } from '../lib/person_state.ts';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { Sessions } from '../parts/sessions.tsx';
import { Missing } from './missing.tsx';
import { PersonDevices } from './person_devices.tsx';
import { PersonEnd } from './person_end.tsx';
import { PersonLink } from './person_link.tsx';
import { PersonRights } from './person_rights.tsx';

function Body({ user, self }: { user: User; self: boolean }) {
	const sessions = useApi('/users/{name}/sessions', { name: user.name });
	return (
		<div class="stack">
			<PersonDevices user={user} />
			<Sessions of={sessions} user={user.name} self={self} />
			<PersonLink user={user} />
			{!self && <PersonRights user={user} />}
			{!self && <PersonEnd user={user} />}
		</div>
	);
}

export function Person() {
	const name = useRoute().params.name ?? '';
	const me = useMe();
	const all = useApi('/users');
	const user = all.data?.users.find((one) => one.name === name);
	if (all.data && !user)
		return <Missing />;
	return (
		<Page title={user ? user.display || user.name : 'Person'} lead={user && personState(user)}
			back={{ href: '/people', text: 'People' }}>
			<Load of={all}>
				{() => user && <Body key={user.name} user={user} self={user.name === me.name} />}
			</Load>
		</Page>
	);
}
