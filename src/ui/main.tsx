// Where the application begins.
import { render } from 'preact';
import { whenSignedOut } from './api/client.ts';
import { startLive } from './api/live.ts';
import { App } from './app.tsx';

whenSignedOut(() => {
	const here = location.pathname;
	location.replace(here === '/' ? '/signin' : `/signin?to=${encodeURIComponent(here)}`);
});

const root = document.getElementById('app');
if (root) {
	startLive();
	render(<App />, root);
}
