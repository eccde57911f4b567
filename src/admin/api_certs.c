/* Certificates: how each one stands, and "renew now". */
#include <errno.h>
#include <stdio.h>

#include "admin/api.h"
#include "admin/control_in.h"
#include "gate/certs.h"
#include "gate/events.h"

static const char *state_word(enum certs_state s)
{
	switch (s) {
	case CERTS_WANTED:
		return "wanted";
	case CERTS_ORDERED:
		return "ordered";
	case CERTS_HELD:
		return "held";
	}
	return "";
}

static json_t *failure_json(const struct certs_row *r)
{
	if (!r->fail_class)
		return json_null();
	return json_pack("{s:s,s:o,s:s,s:i,s:o}", "class", class_word(r->fail_class), "text",
		api_foreign(r->fail_text), "remedy", class_remedy(r->fail_class), "times",
		(int)r->fails, "at", api_moment(r->failed_at));
}

static json_t *row_json(const struct certs_row *r, int64_t now)
{
	json_t *names = json_array();
	for (unsigned i = 0; i < r->n_names; i++)
		json_array_append_new(names, json_string(r->names[i]));
	bool renews = r->state == CERTS_HELD && !r->fail_class;
	return json_pack("{s:s,s:o,s:s,s:b,s:o,s:o,s:o,s:s,s:o,s:o,s:o}", "id", r->id, "names",
		names, "state", state_word(r->state), "valid", r->not_after > now, "not_before",
		api_moment(r->not_before), "not_after", api_moment(r->not_after), "trusted_until",
		api_moment(r->not_after > now ? r->not_after : 0), "serial", r->serial,
		"next_renewal", renews ? api_moment(r->next_at) : json_null(), "failure",
		failure_json(r), "next_try", renews ? json_null() : api_moment(r->next_at));
}

json_t *api_cert_json(struct api_call *q, const char *id)
{
	const struct certs_row *r = certs_find(q->c->certs, id);
	return r ? row_json(r, q->now.unix_s) : NULL;
}

json_t *api_certs_json(struct api_call *q)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < certs_count(q->c->certs); i++)
		json_array_append_new(list, row_json(certs_at(q->c->certs, i), q->now.unix_s));
	return list;
}

json_t *api_trusted_until(struct api_call *q)
{
	int64_t first = 0, now = control_serving_time(q->c);
	for (unsigned i = 0; i < certs_count(q->c->certs); i++) {
		const struct certs_row *r = certs_at(q->c->certs, i);
		if (certs_serving(q->c->certs, r->id, now) && (!first || r->not_after < first))
			first = r->not_after;
	}
	return api_moment(first);
}

static void get_certs(struct api_call *q)
{
	api_reply(q, 200,
		json_pack("{s:o,s:o}", "certificates", api_certs_json(q), "trusted_until",
			api_trusted_until(q)));
}

static void post_renew(struct api_call *q)
{
	struct err e = {0};
	int rc = certs_renew(q->c->certs, q->param[0], &q->now, &e);
	if (rc == -ENOENT) {
		api_fail(q, 404, "unknown", e.text, "See `lanthornctl certs`");
		return;
	}
	if (rc < 0) {
		api_fail(q, 429, "too_soon", e.text, NULL);
		return;
	}
	api_audit(q, "cert.renew", q->param[0], "ok");
	control_turn(q->c);
	control_tell(q->c, EVENT_CERTIFICATES | EVENT_DEVICES);
	api_reply(q, 202, api_cert_json(q, q->param[0]));
}

const struct api_route api_certs_routes[] = {
	{METHOD_GET, "certs", get_certs, API_ADMIN, "All public certificates", NULL,
		&api_shape_certificates},
	{METHOD_POST, "certs/{id}/renew", post_renew, API_ADMIN,
		"Order a new one now, whatever the back-off", NULL, &api_shape_certificate},
	{0}
};
