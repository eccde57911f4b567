// One session, and its end.
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Session } from '../api/types.ts';
import { agentWords, listed } from '../lib/words.ts';
import { Ago } from './ago.tsx';
import { announce } from './announce.tsx';
import { Problem } from './problem.tsx';
import { useAction } from './use_action.ts';

async function endOne(user: string | null, id: number): Promise<void> {
	if (user === null)
		await call('delete', '/me/sessions/{id}', { params: { id: String(id) } });
	else
		await call('delete', '/users/{name}/sessions/{id}',
			{ params: { name: user, id: String(id) } });
}

export function SessionItem({ session, user }: { session: Session; user: string | null }) {
	const { busy, failure, run } = useAction();
	const what = session.script ? `A script, for ${session.device ?? 'a device'}`
		: agentWords(session.agent);
	const end = () => run(async () => {
		await endOne(user, session.id);
		announce('The session has ended');
		refresh('/users');
		refresh('/me/sessions');
	});
	return (
		<li>
			<div class="row apart">
				<div>
					<b>{what}</b>
					<p class="told">
						{session.current ? 'This browser' : <>Last used <Ago at={session.last_seen} /></>}
						{session.address && `, from ${session.address}`}
						{session.devices.length > 0 && `, has opened ${listed(session.devices)}`}
					</p>
				</div>
				{!session.current && (
					<button class="plain" type="button" aria-disabled={busy} onClick={end}
						aria-label={`End: ${what}`}>End</button>
				)}
			</div>
			{failure && <Problem failure={failure} />}
		</li>
	);
}
