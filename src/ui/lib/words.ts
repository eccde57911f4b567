// Small help with words.
export function count(n: number, one: string, many = one + 's'): string {
	return `${n} ${n === 1 ? one : many}`;
}

export function initial(name: string): string {
	return [...name.trim()][0]?.toUpperCase() ?? '?';
}

// "Ada, Bob and Cleo"
export function listed(names: readonly string[]): string {
	return new Intl.ListFormat('en').format(names);
}

export function sentence(text: string): string {
	const first = text.charAt(0).toUpperCase() + text.slice(1);
	return /[.!?]$/.test(first) ? first : first + '.';
}

// What a browser calls itself, in two words: "Firefox on Android".
export function agentWords(agent: string): string {
	const browser = /Edg\//.test(agent) ? 'Edge'
		: /OPR\//.test(agent) ? 'Opera'
		: /Firefox\/|FxiOS/.test(agent) ? 'Firefox'
		: /Chrom(e|ium)\/|CriOS/.test(agent) ? 'Chrome'
		: /Safari\//.test(agent) ? 'Safari'
		: '';
	const system = /Android/.test(agent) ? 'Android'
		: /iPhone|iPad/.test(agent) ? 'iPhone or iPad'
		: /Windows/.test(agent) ? 'Windows'
		: /Mac OS X/.test(agent) ? 'Mac'
		: /Linux|X11/.test(agent) ? 'Linux'
		: '';
	if (browser && system)
		return `${browser} on ${system}`;
	return browser || agent.slice(0, 40) || 'A browser';
}
