// The launcher: every device that is open to this person.
import { useApi } from '../api/cache.ts';
import { useMe } from '../api/me.ts';
import type { Tile } from '../api/types.ts';
import { deviceState } from '../lib/device_state.ts';
import { initial } from '../lib/words.ts';
import { Empty } from '../parts/empty.tsx';
import { Load } from '../parts/load.tsx';
import { Page } from '../parts/page.tsx';
import { State } from '../parts/state.tsx';

function TileLink({ tile }: { tile: Tile }) {
	const { admin } = useMe();
	const said = deviceState(tile);
	const waits = admin && tile.state === 'waiting';
	return (
		<a class={tile.state === 'offline' ? 'tile away' : 'tile'}
			href={waits ? `/devices/${tile.name}/pair` : tile.url}>
			<span class="badge" aria-hidden="true">{initial(tile.title)}</span>
			<span>
				<b>{tile.title}</b>
				<span class="soft">{tile.host}</span>
				{tile.state !== 'configured' && <State said={said} />}
				{tile.certificate === 'none' && (
					<span class="hint">No trusted certificate yet: browsers will warn</span>
				)}
			</span>
		</a>
	);
}

function Nothing() {
	if (!useMe().admin)
		return (
			<Empty icon="home" title="No device has been opened to you yet">
				<p class="soft">Ask the person who looks after this home to open one.</p>
			</Empty>
		);
	return (
		<Empty icon="devices" title="No devices yet">
			<p class="soft">Give a device a name, then show it the code that appears.</p>
			<div class="actions"><a class="button" href="/add">Add a device</a></div>
		</Empty>
	);
}

export function Home() {
	const me = useMe();
	const launcher = useApi('/launcher');
	return (
		<Page title={`Hello, ${me.display || me.name}`} lead="What is open to you in this home." wide>
			<Load of={launcher}>
				{({ tiles }) => tiles.length === 0 ? <Nothing /> : (
					<ul class="tiles">
						{tiles.map((tile) => <li key={tile.name}><TileLink tile={tile} /></li>)}
					</ul>
				)}
			</Load>
		</Page>
	);
}
