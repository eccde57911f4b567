// The application: who is signed in, the frame, and which view an address shows.
import { LocationProvider, Route, Router } from 'preact-iso';
import { useApi } from './api/cache.ts';
import { MeContext } from './api/me.ts';
import { Announcer } from './parts/announce.tsx';
import { Frame } from './parts/frame.tsx';
import { Load } from './parts/load.tsx';
import { Account } from './views/account.tsx';
import { Add } from './views/add.tsx';
import { Certificates } from './views/certificates.tsx';
import { DeviceView } from './views/device.tsx';
import { Devices } from './views/devices.tsx';
import { Home } from './views/home.tsx';
import { Missing } from './views/missing.tsx';
import { Pair } from './views/pair.tsx';
import { People } from './views/people.tsx';
import { Person } from './views/person.tsx';

// What only those who look after the home may see.
const adminViews = [
	<Route path="/add" component={Add} />,
	<Route path="/devices" component={Devices} />,
	<Route path="/devices/:name" component={DeviceView} />,
	<Route path="/devices/:name/pair" component={Pair} />,
	<Route path="/certificates" component={Certificates} />,
	<Route path="/people" component={People} />,
	<Route path="/people/:name" component={Person} />,
];

function Views({ admin }: { admin: boolean }) {
	return (
		<Router>
			<Route path="/" component={Home} />
			<Route path="/account" component={Account} />
			{admin ? adminViews : []}
			<Route default component={Missing} />
		</Router>
	);
}

export function App() {
	const me = useApi('/me');
	if (!me.data) {
		return (
			<main class="page">
				<h1 class="hidden">Lanthorn</h1>
				<Load of={me}>{() => null}</Load>
			</main>
		);
	}
	return (
		<MeContext.Provider value={me.data}>
			<LocationProvider>
				<Frame><Views admin={me.data.admin} /></Frame>
			</LocationProvider>
			<Announcer />
		</MeContext.Provider>
	);
}
