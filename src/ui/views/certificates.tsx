// All public certificates, those with trouble first.
import { useApi } from '../api/cache.ts';
import type { Certificate } from '../api/types.ts';
import { day, daysUntil } from '../lib/time.ts';
import { CertificateCard } from '../parts/certificate_card.tsx';
import { Empty } from '../parts/empty.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';

function Trust({ until }: { until: number | null }) {
	if (until === null)
		return null;
	const days = daysUntil(until);
	const short = days < 14;
	return (
		<section class={short ? 'card figure short' : 'card figure'} aria-label="Trust">
			<b>{days}</b>
			<div>
				<h2>{days === 1 ? 'day' : 'days'} of trust without Internet</h2>
				<p class="told">Should the Internet fail today, every device stays trusted until
					{' '}{day(until)}.</p>
			</div>
		</section>
	);
}

function byTrouble(a: Certificate, b: Certificate): number {
	const rank = (it: Certificate) => it.failure ? 0 : it.valid ? 2 : 1;
	return rank(a) - rank(b) || (a.id === '@base' ? -1 : b.id === '@base' ? 1
		: a.id.localeCompare(b.id));
}

export function Certificates() {
	const all = useApi('/certs');
	return (
		<Page title="Certificates" lead="Obtained and renewed by themselves.">
			<Load of={all}>
				{({ certificates, trusted_until: until }) => certificates.length === 0 ? (
					<Empty icon="certificates" title="No certificates yet">
						<p class="soft">The first one is being prepared.</p>
					</Empty>
				) : (
					<div class="stack">
						<Trust until={until} />
						{[...certificates].sort(byTrouble).map((it) => (
							<CertificateCard key={it.id} it={it} title={it.names[0] ?? it.id} />
						))}
					</div>
				)}
			</Load>
		</Page>
	);
}
