// Pairing codes that were made in this tab. They are shown once and live nowhere else.
import type { Pairing } from '../api/types.ts';

const made = new Map<string, Pairing>();

export function keepPairing(pairing: Pairing): void {
	made.set(pairing.name, pairing);
}

export function pairingOf(name: string): Pairing | null {
	const pairing = made.get(name);
	if (pairing && pairing.expires * 1000 > Date.now())
		return pairing;
	made.delete(name);
	return null;
}

export function forgetPairing(name: string): void {
	made.delete(name);
}
