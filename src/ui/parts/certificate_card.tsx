// One certificate: how it stands, what went wrong, and "renew now".
import { refresh } from '../api/cache.ts';
import { call } from '../api/client.ts';
import type { Certificate } from '../api/types.ts';
import { certificateState } from '../lib/certificate_state.ts';
import { day } from '../lib/time.ts';
import { count, listed, sentence } from '../lib/words.ts';
import { Ago } from './ago.tsx';
import { announce } from './announce.tsx';
import { Icon } from './icon.tsx';
import { Problem } from './problem.tsx';
import { State } from './state.tsx';
import { useAction } from './use_action.ts';

function LastFailure({ it }: { it: Certificate }) {
	if (!it.failure)
		return null;
	const { text, remedy, times, at } = it.failure;
	return (
		<div class="note bad">
			<Icon name="warn" />
			<div>
				<b>{sentence(text)}</b>
				{remedy && <p>{sentence(remedy)}</p>}
				<p class="told">
					{count(times, 'attempt')}{at !== null && <>, the last <Ago at={at} /></>}.
					{it.next_try !== null && <> Next attempt <Ago at={it.next_try} />.</>}
				</p>
			</div>
		</div>
	);
}

function Dates({ it }: { it: Certificate }) {
	if (it.not_before === null || it.not_after === null)
		return null;
	return (
		<p class="told">
			Valid from {day(it.not_before)} until {day(it.not_after)}.
			{it.next_renewal !== null && ` Renewed by itself on ${day(it.next_renewal)}.`}
		</p>
	);
}

export function CertificateCard({ it, title }: { it: Certificate; title: string }) {
	const { busy, failure, run } = useAction();
	const renew = () => run(async () => {
		await call('post', '/certs/{id}/renew', { params: { id: it.id } });
		announce('A new certificate has been asked for');
		refresh('/certs');
		refresh('/devices');
	});
	const verb = it.valid ? 'Renew now' : 'Try now';
	const first = !it.valid && !it.failure; // on its way without anybody's doing
	return (
		<section class="card" aria-label={`Certificate of ${title}`}>
			<h2>{title}</h2>
			{it.names.length > 1 && <p class="told">and {listed(it.names.slice(1))}</p>}
			<div class="row apart">
				<State said={certificateState(it)} />
				{!first && (
					<button class="plain" type="button" aria-disabled={busy} onClick={renew}
						aria-label={`${verb}: ${title}`}>{verb}</button>
				)}
			</div>
			<Dates it={it} />
			<LastFailure it={it} />
			{failure && <Problem failure={failure} />}
		</section>
	);
}
