// What stands around every view: the home's name, the ways to the views, the person.
import type { ComponentChildren } from 'preact';
import { useLocation } from 'preact-iso';
import { useMe } from '../api/me.ts';
import { initial } from '../lib/words.ts';
import { Icon } from './icon.tsx';
import type { IconName } from './icon.tsx';
import { Lost } from './lost.tsx';

interface Way {
	href: string;
	text: string;
	icon: IconName;
	below?: readonly string[]; // other addresses that belong to it
}

const ways: readonly Way[] = [
	{ href: '/', text: 'Start', icon: 'home' },
	{ href: '/devices', text: 'Devices', icon: 'devices', below: ['/add'] },
	{ href: '/certificates', text: 'Certificates', icon: 'certificates' },
	{ href: '/people', text: 'People', icon: 'people' },
];

function leadsTo(way: Way, path: string): boolean {
	return path === way.href || (way.href !== '/' && path.startsWith(way.href + '/'))
		|| (way.below?.includes(path) ?? false);
}

function Ways({ path }: { path: string }) {
	return (
		<nav class="ways" aria-label="Main">
			<ul>
				{ways.map((way) => (
					<li key={way.href}>
						<a href={way.href} aria-current={leadsTo(way, path) ? 'page' : undefined}>
							<Icon name={way.icon} />{way.text}
						</a>
					</li>
				))}
			</ul>
		</nav>
	);
}

export function Frame({ children }: { children: ComponentChildren }) {
	const me = useMe();
	const { path } = useLocation();
	const called = me.display || me.name;
	return (
		<div class={me.admin ? 'frame' : 'frame simple'}>
			<a class="skip" href="#page">Skip to the content</a>
			<header class="bar">
				<a class="mark" href="/"><Icon name="lantern" /><span>{me.title}</span></a>
				<a class="me" href="/account"
					aria-current={path === '/account' ? 'page' : undefined}>
					<span class="badge round" aria-hidden="true">{initial(called)}</span>
					<span class="name">{called}<small class="soft">Your account</small></span>
				</a>
			</header>
			{me.admin && <Ways path={path} />}
			{children}
			<Lost />
		</div>
	);
}
