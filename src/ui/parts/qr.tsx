// A QR code as one path.
import { encode } from 'uqr';

export function Qr({ text, label }: { text: string; label: string }) {
	const { data, size } = encode(text, { ecc: 'L', border: 0 });
	const path = data.flatMap((line, y) =>
		line.map((dark, x) => dark ? `M${x} ${y}h1v1h-1z` : '')).join('');
	return (
		<svg class="qr" viewBox={`0 0 ${size} ${size}`} role="img" aria-label={label}
			shape-rendering="crispEdges">
			<path d={path} fill="currentColor" />
		</svg>
	);
}
