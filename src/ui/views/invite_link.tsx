// A one-time link, shown once, and what comes next.
import type { Invite } from '../api/types.ts';
import { Ago } from '../parts/ago.tsx';
import { Copy } from '../parts/copy.tsx';

export function InviteLink({ made, onClose }: { made: Invite; onClose: () => void }) {
	return (
		<>
			<p class="soft">Send it to them alone. Whoever opens it first chooses the password. It
				works once and expires <Ago at={made.expires} />.</p>
			<Copy text={made.link} what="the link" />
			<div class="actions">
				<button class="plain" type="button" onClick={onClose}>Done</button>
				{!made.user.admin && (
					<a class="button" href={`/people/${made.user.name}`}>Choose their devices</a>
				)}
			</div>
		</>
	);
}
