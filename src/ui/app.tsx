// The application: for now its frame alone.
import { Page } from './parts/page.tsx';

export function App() {
	return <div class="frame"><Page title="Home"><p>Loading…</p></Page></div>;
}
