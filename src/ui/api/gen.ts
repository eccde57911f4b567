// Made by types.mjs from the OpenAPI document. Do not edit.
export interface paths {
	"/me": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Me"];
					};
				};
			};
		};
	};
	"/launcher": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Launcher"];
					};
				};
			};
		};
	};
	"/devices": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Devices"];
					};
				};
			};
		};
		post: {
			requestBody: {
				content: {
					"application/json": {
						name: string;
						title?: string;
					};
				};
			};
			responses: {
				/** @description x */
				201: {
					content: {
						"application/json": components["schemas"]["Pairing"];
					};
				};
			};
		};
	};
	"/devices/{name}/pair": {
		post: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Pairing"];
					};
				};
			};
		};
	};
	"/devices/{name}": {
		delete: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Removed"];
					};
				};
			};
		};
		patch: {
			parameters: {
				path: {
					name: string;
				};
			};
			requestBody: {
				content: {
					"application/json": {
						title: string;
					};
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Device"];
					};
				};
			};
		};
	};
	"/certs": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Certificates"];
					};
				};
			};
		};
	};
	"/certs/{id}/renew": {
		post: {
			parameters: {
				path: {
					id: string;
				};
			};
			responses: {
				/** @description x */
				202: {
					content: {
						"application/json": components["schemas"]["Certificate"];
					};
				};
			};
		};
	};
	"/users": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Users"];
					};
				};
			};
		};
		post: {
			requestBody: {
				content: {
					"application/json": {
						name: string;
						display?: string;
						admin?: boolean;
					};
				};
			};
			responses: {
				/** @description x */
				201: {
					content: {
						"application/json": components["schemas"]["Invite"];
					};
				};
			};
		};
	};
	"/users/{name}/invite": {
		post: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				201: {
					content: {
						"application/json": components["schemas"]["Invite"];
					};
				};
			};
		};
	};
	"/users/{name}": {
		delete: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
		patch: {
			parameters: {
				path: {
					name: string;
				};
			};
			requestBody: {
				content: {
					"application/json": {
						display?: string;
						admin?: boolean;
						disabled?: boolean;
					};
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["User"];
					};
				};
			};
		};
	};
	"/users/{name}/devices/{device}": {
		put: {
			parameters: {
				path: {
					name: string;
					device: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["User"];
					};
				};
			};
		};
		delete: {
			parameters: {
				path: {
					name: string;
					device: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["User"];
					};
				};
			};
		};
	};
	"/users/{name}/sessions": {
		get: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Sessions"];
					};
				};
			};
		};
	};
	"/users/{name}/sessions/{id}": {
		delete: {
			parameters: {
				path: {
					name: string;
					id: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
	};
	"/users/{name}/sign-out": {
		post: {
			parameters: {
				path: {
					name: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
	};
	"/me/sessions": {
		get: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Sessions"];
					};
				};
			};
		};
	};
	"/me/sessions/{id}": {
		delete: {
			parameters: {
				path: {
					id: string;
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
	};
	"/me/sign-out": {
		post: {
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
	};
	"/me/password": {
		post: {
			requestBody: {
				content: {
					"application/json": {
						old: string;
						new: string;
					};
				};
			};
			responses: {
				/** @description x */
				200: {
					content: {
						"application/json": components["schemas"]["Empty"];
					};
				};
			};
		};
	};
}
export interface components {
	schemas: {
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
		Tile: {
			name: string;
			title: string;
			host: string;
			url: string;
			/** @enum {string} */
			state: "online" | "offline" | "waiting" | "enrolled" | "configured";
			since: number | null;
			/** @enum {string} */
			certificate: "own" | "shared" | "none";
		};
		Launcher: {
			tiles: components["schemas"]["Tile"][];
		};
		Failure: {
			class: string;
			text: string;
			remedy: string;
			times: number;
			at: number | null;
		};
		NameFailure: {
			class: string;
			text: string;
			remedy: string;
			next_try: number | null;
		};
		Name: {
			name: string;
			published: boolean;
			failure: components["schemas"]["NameFailure"] | null;
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
		Device: {
			name: string;
			title: string;
			host: string;
			url: string;
			/** @enum {string} */
			kind: "agent" | "upstream";
			/** @enum {string} */
			state: "online" | "offline" | "waiting" | "enrolled" | "configured";
			since: number | null;
			online: boolean | null;
			links: number;
			peer: string | null;
			last_seen: number | null;
			created: number | null;
			pairing_expires: number | null;
			upstream: string | null;
			public: boolean;
			certificate: components["schemas"]["Certificate"] | null;
			dns: components["schemas"]["Name"] | null;
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
		Certificates: {
			certificates: components["schemas"]["Certificate"][];
			trusted_until: number | null;
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
		Users: {
			users: components["schemas"]["User"][];
		};
		Invite: {
			user: components["schemas"]["User"];
			link: string;
			expires: number;
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
		Sessions: {
			sessions: components["schemas"]["Session"][];
		};
		Empty: Record<string, never>;
		Removed: {
			removed: string;
		};
	};
	responses: never;
	parameters: never;
	requestBodies: never;
	headers: never;
	pathItems: never;
}
