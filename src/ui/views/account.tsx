// One's own account: sessions, password, and the way out.
import { useApi } from '../api/cache.ts';
import { useMe } from '../api/me.ts';
import { Icon } from '../parts/icon.tsx';
import { Page } from '../parts/page.tsx';
import { Sessions } from '../parts/sessions.tsx';
import { Password } from './password.tsx';

export function Account() {
	const me = useMe();
	const sessions = useApi('/me/sessions');
	return (
		<Page title={me.display || me.name}
			lead={me.admin ? `Signs in as ${me.name}, looks after this home.`
				: `Signs in as ${me.name}.`}
			action={(
				<form method="post" action="/signout">
					<button class="plain" type="submit"><Icon name="out" />Sign out</button>
				</form>
			)}>
			<div class="stack">
				<Sessions of={sessions} user={null} self />
				<Password />
			</div>
		</Page>
	);
}
