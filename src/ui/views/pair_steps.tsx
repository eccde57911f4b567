// How far the device has come.
import type { Device } from '../api/types.ts';
import { Icon } from '../parts/icon.tsx';

type Stage = 'done' | 'now' | 'later';

interface Step {
	stage: Stage;
	title: string;
	words: string;
}

const spoken: Record<Stage, string> = { done: 'Done', now: 'Now', later: 'Later' };

function steps(device: Device): readonly Step[] {
	const paired = device.state !== 'waiting';
	const online = device.state === 'online';
	const own = device.certificate;
	const trusted = own?.valid ?? false;
	const all: Step[] = [
		{ stage: paired ? 'done' : 'now', title: paired ? 'Paired' : 'Waiting for the device',
			words: paired ? 'It has an identity of its own.'
				: 'Nothing else to do here: this page sees it arrive.' },
		{ stage: online ? 'done' : paired ? 'now' : 'later',
			title: online ? 'Connected' : 'Connects to this gateway',
			words: online && device.peer ? `From ${device.peer}.`
				: 'As soon as its agent runs.' },
	];
	if (own)
		all.push({ stage: trusted ? 'done' : online ? 'now' : 'later',
			title: trusted ? 'Has its own certificate' : 'Gets its own certificate',
			words: trusted ? 'Every browser trusts it.'
				: 'That takes a minute or two. Until then it shares the gateway\'s.' });
	return all;
}

export function PairSteps({ device }: { device: Device }) {
	return (
		<section class="card" aria-label="Progress">
			<ol class="steps" aria-live="polite">
				{steps(device).map((step, i) => (
					<li key={i} class={step.stage}>
						<span class="dot">{step.stage === 'done' && <Icon name="tick" />}</span>
						<h2><span class="hidden">{spoken[step.stage]}: </span>{step.title}</h2>
						<p class="told">{step.words}</p>
					</li>
				))}
			</ol>
			{device.state === 'online' && (
				<div class="actions">
					<a class="button" href={device.url}>Open {device.title}</a>
					<a class="button plain" href="/people">Choose who may open it</a>
				</div>
			)}
		</section>
	);
}
