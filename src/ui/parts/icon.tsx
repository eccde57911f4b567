// Line icons, drawn on 24 by 24. They only ever accompany words.
const paths = {
	lantern: 'M9 5h6M12 2.5V5M8 8.5 9 5h6l1 3.5M7.5 8.5h9l.8 10.5H6.7zM6 21.5h12'
		+ 'M12 11.2c1.6 1.7 2 2.7 2 3.5a2 2 0 0 1-4 0c0-.8.4-1.8 2-3.5z',
	home: 'M4 11 12 4l8 7M6 9.5V20h12V9.5M10 20v-6h4v6',
	devices: 'M4 5h16v11H4zM9 20h6M12 16v4',
	certificates: 'M12 3l7.5 2.8v5.4c0 4.6-3.1 8-7.5 9.8-4.4-1.8-7.5-5.2-7.5-9.8V5.8zM8.8 12l2.3 2.3 4.2-4.6',
	people: 'M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.4-3.6 2.9-6 6.5-6s6.1 2.4 6.5 6'
		+ 'M15.5 4.3a3.5 3.5 0 0 1 0 6.4M17.5 14.4c2.3.8 3.7 2.8 4 5.6',
	next: 'M9.5 5.5 16 12l-6.5 6.5',
	back: 'M14.5 5.5 8 12l6.5 6.5',
	plus: 'M12 5v14M5 12h14',
	copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
	tick: 'M5 12.5 10 17.5 19.5 7',
	warn: 'M12 4 2.8 20h18.4zM12 10v4.5M12 17.2v.3',
	out: 'M13 4h7v16h-7M4 12h11M8 8l-4 4 4 4',
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
	return (
		<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7"
			stroke-linejoin="round" stroke-linecap="round" aria-hidden="true">
			<path d={paths[name]} />
		</svg>
	);
}
