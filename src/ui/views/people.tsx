// Everybody who may sign in.
import { useState } from 'preact/hooks';
import { useApi } from '../api/cache.ts';
import { useMe } from '../api/me.ts';
import type { User } from '../api/types.ts';
import { personState } from '../lib/person_state.ts';
import { initial } from '../lib/words.ts';
import { Icon } from '../parts/icon.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { Invite } from './invite.tsx';

function Item({ user, self }: { user: User; self: boolean }) {
	const called = user.display || user.name;
	return (
		<li>
			<a class="item" href={`/people/${user.name}`}>
				<span class="badge round" aria-hidden="true">{initial(called)}</span>
				<span class="grow">
					<b>{called}{self && <span class="soft"> (you)</span>}</b>
					<span class="soft">{personState(user)}</span>
				</span>
				<Icon name="next" />
			</a>
		</li>
	);
}

export function People() {
	const me = useMe();
	const all = useApi('/users');
	const [inviting, setInviting] = useState(false);
	return (
		<Page title="People" lead="Who may sign in, and what is open to them."
			action={(
				<button type="button" onClick={() => setInviting(true)}>
					<Icon name="plus" />Invite a person
				</button>
			)}>
			<Load of={all}>
				{({ users }) => (
					<div class="stack">
						<ul class="list">
							{users.map((user) => (
								<Item key={user.name} user={user} self={user.name === me.name} />
							))}
						</ul>
						{users.length === 1 && (
							<p class="soft">Nobody else yet. People whom you invite see only the
								devices that you open to them.</p>
						)}
					</div>
				)}
			</Load>
			{inviting && <Invite onClose={() => setInviting(false)} />}
		</Page>
	);
}
