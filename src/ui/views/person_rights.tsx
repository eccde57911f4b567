// What a person may do beside opening devices.
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { User } from '../api/types.ts';
import { announce } from '../parts/announce.tsx';
import { Problem } from '../parts/problem.tsx';
import { Tick } from '../parts/tick.tsx';
import { useAction } from '../parts/use_action.ts';

type Change = { admin: boolean } | { disabled: boolean };

export function PersonRights({ user }: { user: User }) {
	const { busy, failure, run } = useAction();
	const change = (body: Change) => run(async () => {
		await call('patch', '/users/{name}', { params: { name: user.name }, body });
		announce('Changed');
		refresh('/users');
	});
	return (
		<section class="card">
			<h2>Rights</h2>
			<Tick label="May sign in" on={!user.disabled} busy={busy}
				onChange={(on) => change({ disabled: !on })} />
			<Tick label="Looks after this home: opens everything, changes everything"
				on={user.admin} busy={busy} onChange={(on) => change({ admin: on })} />
			{failure && <Problem failure={failure} />}
		</section>
	);
}
