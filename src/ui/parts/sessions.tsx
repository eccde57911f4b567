// Where somebody is signed in. `user` null: oneself, by the calls that everybody may make.
import { refresh } from '../api/cache.ts';
import type { Loaded } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Session } from '../api/types.ts';
import { announce } from './announce.tsx';
import { Load } from './load.tsx';
import { Problem } from './problem.tsx';
import { SessionItem } from './session_item.tsx';
import { useAction } from './use_action.ts';

interface Props {
	of: Loaded<{ sessions: Session[] }>;
	user: string | null;
	self: boolean;
}

async function endOthers(user: string | null): Promise<void> {
	if (user === null)
		await call('post', '/me/sign-out');
	else
		await call('post', '/users/{name}/sign-out', { params: { name: user } });
}

export function Sessions({ of, user, self }: Props) {
	const { busy, failure, run } = useAction();
	const list = of.data?.sessions ?? [];
	const ends = list.some((session) => !session.current);
	const end = () => run(async () => {
		await endOthers(self ? null : user);
		announce(self ? 'All other sessions have ended' : 'All sessions have ended');
		refresh('/users');
		refresh('/me/sessions');
	});
	return (
		<section class="card">
			<h2>Signed in on</h2>
			<Load of={of} ghosts={1}>
				{({ sessions }) => sessions.length === 0
					? <p class="soft">Nowhere at present.</p>
					: (
						<ul class="lines">
							{sessions.map((session) => (
								<SessionItem key={session.id} session={session}
									user={self ? null : user} />
							))}
						</ul>
					)}
			</Load>
			{failure && <Problem failure={failure} />}
			{ends && list.length > 1 && (
				<div class="actions">
					<button class="plain" type="button" aria-disabled={busy} onClick={end}>
						{self ? 'End all others' : 'End all'}
					</button>
				</div>
			)}
		</section>
	);
}
