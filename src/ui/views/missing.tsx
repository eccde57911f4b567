// An address that shows nothing.
import { Page } from '../parts/page.tsx';

export function Missing() {
	return (
		<Page title="Nothing here">
			<p>This address leads nowhere, or what it showed is not open to you.</p>
			<div class="actions"><a class="button" href="/">To the start</a></div>
		</Page>
	);
}
