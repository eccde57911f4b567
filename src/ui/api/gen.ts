// Made by types.mjs from the OpenAPI document. Do not edit.
export interface paths {
	"/status": {
		/** How everything stands */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Status"]; } }; };
		};
	};
	"/reload": {
		/** Read gateway.yaml again */
		post: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Reload"]; } }; };
		};
	};
	"/logs": {
		/** The last log lines (?lines=N, up to 1000) */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Logs"]; } }; };
		};
	};
	"/devices": {
		/** All devices, paired and configured */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Devices"]; } }; };
		};
		/** Add a device; answers its pairing token */
		post: {
			requestBody: {
				content: {
					"application/json": {
						/** @description one word of letters, digits and hyphens: the host's first label */
						name: string;
						/** @description what people see; at most 64 bytes */
						title?: string;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["Pairing"]; } }; };
		};
	};
	"/devices/{name}": {
		/** Remove a device: its links end at once, its certificate never works again */
		delete: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Removed"]; } }; };
		};
		/** Give a device another title */
		patch: {
			parameters: { path: { name: string; } };
			requestBody: {
				content: {
					"application/json": {
						/** @description what people see; at most 64 bytes, "" for the name */
						title: string;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["Device"]; } }; };
		};
	};
	"/devices/{name}/pair": {
		/** A new pairing token; the one before stops working */
		post: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Pairing"]; } }; };
		};
	};
	"/certs": {
		/** All public certificates */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Certificates"]; } }; };
		};
	};
	"/certs/{id}/renew": {
		/** Order a new one now, whatever the back-off */
		post: {
			parameters: { path: { id: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Certificate"]; } }; };
		};
	};
	"/dns/test": {
		/** How the last test of DNS went */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["DnsTest"]; } }; };
		};
		/** Set a test record, wait until every name server shows it, remove it */
		post: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["DnsTest"]; } }; };
		};
	};
	"/dns/secrets/{name}": {
		/** Keep a secret where only the certificate process reads it */
		put: {
			parameters: { path: { name: string; } };
			requestBody: {
				content: {
					"application/json": {
						/** @description the secret; it is written and never shown again */
						value: string;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/me": {
		/** Who is signed in */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Me"]; } }; };
		};
	};
	"/launcher": {
		/** The devices open to whoever asks */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Launcher"]; } }; };
		};
	};
	"/events": {
		/** What has changed, as server-sent events */
		get: {
			responses: {
				"2XX": {
					content: {
						"text/event-stream": components["schemas"]["Event"];
					};
				};
			};
		};
	};
	"/me/sessions": {
		/** Where one is signed in */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Sessions"]; } }; };
		};
	};
	"/me/sessions/{id}": {
		/** End one of one's sessions */
		delete: {
			parameters: { path: { id: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/me/sign-out": {
		/** End all of one's sessions but this one */
		post: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/me/password": {
		/** Change one's password; all other sessions end */
		post: {
			requestBody: {
				content: {
					"application/json": {
						/** @description the present one */
						old: string;
						/** @description 8 to 256 characters, not the name */
						new: string;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/setup": {
		/** A one-time link for the first admin */
		post: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Link"]; } }; };
		};
	};
	"/users": {
		/** Everybody who may sign in */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Users"]; } }; };
		};
		/** Add a person; answers with their link */
		post: {
			requestBody: {
				content: {
					"application/json": {
						/** @description what they sign in with: a-z, 0-9, dot, hyphen, underscore */
						name: string;
						/** @description how they are called on pages */
						display?: string;
						/** @description true: reaches all devices and looks after the gateway */
						admin?: boolean;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["Invite"]; } }; };
		};
	};
	"/users/{name}": {
		/** Remove a person */
		delete: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
		/** Change a person's rights or display name */
		patch: {
			parameters: { path: { name: string; } };
			requestBody: {
				content: {
					"application/json": {
						/** @description how they are called on pages */
						display?: string;
						/** @description false: they are signed out */
						admin?: boolean;
						/** @description true: they are signed out and cannot sign in */
						disabled?: boolean;
					};
				};
			};
			responses: { "2XX": { content: { "application/json": components["schemas"]["User"]; } }; };
		};
	};
	"/users/{name}/invite": {
		/** A new one-time link to set a password */
		post: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Invite"]; } }; };
		};
	};
	"/users/{name}/sign-out": {
		/** End all of a person's sessions */
		post: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/users/{name}/devices/{device}": {
		/** Open a device to a person */
		put: {
			parameters: { path: { name: string; device: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["User"]; } }; };
		};
		/** Close a device to a person; their sessions end */
		delete: {
			parameters: { path: { name: string; device: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["User"]; } }; };
		};
	};
	"/users/{name}/devices/{device}/token": {
		/** A token with which a script reaches a device as this person, for a year */
		post: {
			parameters: { path: { name: string; device: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Token"]; } }; };
		};
	};
	"/users/{name}/sessions": {
		/** Where a person is signed in */
		get: {
			parameters: { path: { name: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Sessions"]; } }; };
		};
	};
	"/users/{name}/sessions/{id}": {
		/** End one of a person's sessions */
		delete: {
			parameters: { path: { name: string; id: string; } };
			responses: { "2XX": { content: { "application/json": components["schemas"]["Nothing"]; } }; };
		};
	};
	"/openapi.json": {
		/** This description */
		get: {
			responses: { "2XX": { content: { "application/json": components["schemas"]["Document"]; } }; };
		};
	};
}
export interface components {
	schemas: {
		Error: {
			error: components["schemas"]["Fault"];
		};
		Fault: {
			code: string;
			message: string;
			remedy: string | null;
			details?: string[];
		};
		Status: {
			version: string;
			started: number;
			uptime: number;
			domain: string;
			url: string;
			title: string;
			/** @enum {string} */
			mode: "wildcard" | "per-device";
			listen: components["schemas"]["Listen"];
			addresses: string[];
			names: components["schemas"]["Name"][];
			certificates: components["schemas"]["Certificate"][];
			trusted_until: number | null;
			devices: components["schemas"]["Device"][];
			steward: components["schemas"]["Steward"];
			time: components["schemas"]["Time"];
			sandbox: components["schemas"]["Sandbox"];
		};
		Listen: {
			port: number;
			http_port: number | null;
			addresses: string[];
			public_port: number;
			/** @enum {string} */
			from: "lan" | "any";
		};
		Name: {
			name: string;
			published: boolean;
			failure: components["schemas"]["NameFailure"] | null;
		};
		NameFailure: {
			class: string;
			text: string;
			remedy: string;
			next_try: number | null;
		};
		Certificate: {
			id: string;
			names: string[];
			/** @enum {string} */
			state: "wanted" | "ordered" | "held";
			valid: boolean;
			not_before: number | null;
			not_after: number | null;
			trusted_until: number | null;
			serial: string;
			next_renewal: number | null;
			failure: components["schemas"]["Failure"] | null;
			next_try: number | null;
		};
		Failure: {
			class: string;
			text: string;
			remedy: string;
			times: number;
			at: number | null;
		};
		Device: {
			name: string;
			title: string;
			host: string;
			url: string;
			/** @enum {string} */
			kind: "agent" | "upstream";
			/** @enum {string} */
			state: "waiting" | "enrolled" | "online" | "offline" | "configured";
			since: number | null;
			online: boolean | null;
			links: number;
			peer: string | null;
			/** @enum {string|null} */
			protocol: "h2" | "http/1.1" | null;
			last_seen: number | null;
			created: number | null;
			pairing_expires: number | null;
			upstream: string | null;
			fault: string | null;
			public: boolean;
			certificate: components["schemas"]["Certificate"] | null;
			dns: components["schemas"]["Name"] | null;
		};
		Steward: {
			up: boolean;
			started: number | null;
			heard: number | null;
			starts: number;
		};
		Time: {
			now: number;
			believable: boolean;
			why: string | null;
		};
		Sandbox: {
			system_calls: boolean;
			landlock: number;
		};
		Reload: {
			restart_needed_for: string[];
		};
		Logs: {
			lines: string[];
		};
		Devices: {
			devices: components["schemas"]["Device"][];
		};
		Pairing: {
			name: string;
			title: string;
			host: string;
			url: string;
			token: string;
			expires: number;
			command: string;
		};
		Removed: {
			removed: string;
		};
		Certificates: {
			certificates: components["schemas"]["Certificate"][];
			trusted_until: number | null;
		};
		DnsTest: {
			/** @enum {string} */
			state: "running" | "passed" | "failed";
			at: number;
			text: string | null;
			remedy: string | null;
		};
		Nothing: Record<string, never>;
		Me: {
			name: string;
			display: string;
			admin: boolean;
			title: string;
			domain: string;
			url: string;
			version: string;
			session: number | null;
		};
		Launcher: {
			tiles: components["schemas"]["Tile"][];
		};
		Tile: {
			name: string;
			title: string;
			host: string;
			url: string;
			/** @enum {string} */
			state: "waiting" | "enrolled" | "online" | "offline" | "configured";
			since: number | null;
			/** @enum {string} */
			certificate: "own" | "shared" | "none";
		};
		Event: {
			what: ("certificates" | "devices" | "launcher" | "me" | "people" | "status")[];
		};
		Sessions: {
			sessions: components["schemas"]["Session"][];
		};
		Session: {
			id: number;
			script: boolean;
			device: string | null;
			agent: string;
			address: string | null;
			created: number;
			last_seen: number;
			expires: number;
			current: boolean;
			devices: string[];
		};
		Link: {
			link: string;
			expires: number;
		};
		Users: {
			users: components["schemas"]["User"][];
		};
		User: {
			name: string;
			display: string;
			admin: boolean;
			disabled: boolean;
			has_password: boolean;
			created: number;
			devices: string[];
			sessions: number;
			last_seen: number | null;
			invite_expires: number | null;
		};
		Invite: {
			user: components["schemas"]["User"];
			link: string;
			expires: number;
		};
		Token: {
			host: string;
			url: string;
			token: string;
		};
		Document: {
			[key: string]: unknown;
		};
	};
}
