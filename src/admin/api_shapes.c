/* See api_shapes.h. Every member is always there; what is not known is null. */
#include "admin/api_shapes.h"

#include <stddef.h>

/* clang-format off */
#define TEXT(n)           {.name = n, .type = JSON_STRING, .required = true}
#define TEXT_OR_NULL(n)   {.name = n, .type = JSON_STRING, .required = true, .null = true}
#define WORD(n, list)     {.name = n, .type = JSON_STRING, .required = true, .words = list}
#define WORD_OR_NULL(n, list) \
	{.name = n, .type = JSON_STRING, .required = true, .null = true, .words = list}
#define TEXTS(n)          {.name = n, .type = JSON_ARRAY, .required = true}
#define WORDS(n, list)    {.name = n, .type = JSON_ARRAY, .required = true, .words = list}
#define NUMBER(n)         {.name = n, .type = JSON_INTEGER, .required = true}
#define NUMBER_OR_NULL(n) {.name = n, .type = JSON_INTEGER, .required = true, .null = true}
#define TRUTH(n)          {.name = n, .type = JSON_TRUE, .required = true}
#define TRUTH_OR_NULL(n)  {.name = n, .type = JSON_TRUE, .required = true, .null = true}
#define ONE(n, s)         {.name = n, .type = JSON_OBJECT, .required = true, .of = s}
#define ONE_OR_NULL(n, s) {.name = n, .type = JSON_OBJECT, .required = true, .null = true, .of = s}
#define LIST(n, s)        {.name = n, .type = JSON_ARRAY, .required = true, .of = s}
#define SHAPE(title, ...) {title, (const struct api_field[]){__VA_ARGS__, {0}}}
/* clang-format on */

const struct api_shape api_shape_nothing = SHAPE("Nothing", {0});
const struct api_shape api_shape_document = {"Document", NULL};

static const struct api_shape fault = SHAPE("Fault", TEXT("code"), TEXT("message"),
	TEXT_OR_NULL("remedy"), {.name = "details", .type = JSON_ARRAY});

const struct api_shape api_shape_error = SHAPE("Error", ONE("error", &fault));

/* ---- certificates and names ---- */

static const struct api_shape failure = SHAPE("Failure", TEXT("class"), TEXT("text"),
	TEXT("remedy"), NUMBER("times"), NUMBER_OR_NULL("at"));

static const char *const cert_states[] = {"wanted", "ordered", "held", NULL};

const struct api_shape api_shape_certificate =
	SHAPE("Certificate", TEXT("id"), TEXTS("names"), WORD("state", cert_states), TRUTH("valid"),
		NUMBER_OR_NULL("not_before"), NUMBER_OR_NULL("not_after"),
		NUMBER_OR_NULL("trusted_until"), TEXT("serial"), NUMBER_OR_NULL("next_renewal"),
		ONE_OR_NULL("failure", &failure), NUMBER_OR_NULL("next_try"));

const struct api_shape api_shape_certificates = SHAPE("Certificates",
	LIST("certificates", &api_shape_certificate), NUMBER_OR_NULL("trusted_until"));

static const struct api_shape name_failure = SHAPE(
	"NameFailure", TEXT("class"), TEXT("text"), TEXT("remedy"), NUMBER_OR_NULL("next_try"));

static const struct api_shape name =
	SHAPE("Name", TEXT("name"), TRUTH("published"), ONE_OR_NULL("failure", &name_failure));

static const char *const test_states[] = {"running", "passed", "failed", NULL};

const struct api_shape api_shape_dns_test = SHAPE("DnsTest", WORD("state", test_states),
	NUMBER("at"), TEXT_OR_NULL("text"), TEXT_OR_NULL("remedy"));

/* ---- devices ---- */

static const char *const states[] = {
	"waiting", "enrolled", "online", "offline", "configured", NULL};
static const char *const kinds[] = {"agent", "upstream", NULL};
static const char *const protocols[] = {"h2", "http/1.1", NULL};
static const char *const covers[] = {"own", "shared", "none", NULL};

static const struct api_shape tile = SHAPE("Tile", TEXT("name"), TEXT("title"), TEXT("host"),
	TEXT("url"), WORD("state", states), NUMBER_OR_NULL("since"), WORD("certificate", covers));

const struct api_shape api_shape_launcher = SHAPE("Launcher", LIST("tiles", &tile));

const struct api_shape api_shape_device = SHAPE("Device", TEXT("name"), TEXT("title"), TEXT("host"),
	TEXT("url"), WORD("kind", kinds), WORD("state", states), NUMBER_OR_NULL("since"),
	TRUTH_OR_NULL("online"), NUMBER("links"), TEXT_OR_NULL("peer"),
	WORD_OR_NULL("protocol", protocols), NUMBER_OR_NULL("last_seen"),
	NUMBER_OR_NULL("created"), NUMBER_OR_NULL("pairing_expires"), TEXT_OR_NULL("upstream"),
	TEXT_OR_NULL("fault"),
	TRUTH("public"), ONE_OR_NULL("certificate", &api_shape_certificate),
	ONE_OR_NULL("dns", &name));

const struct api_shape api_shape_devices = SHAPE("Devices", LIST("devices", &api_shape_device));

const struct api_shape api_shape_pairing = SHAPE("Pairing", TEXT("name"), TEXT("title"),
	TEXT("host"), TEXT("url"), TEXT("token"), NUMBER("expires"), TEXT("command"));

const struct api_shape api_shape_removed = SHAPE("Removed", TEXT("removed"));

/* ---- people ---- */

const struct api_shape api_shape_me = SHAPE("Me", TEXT("name"), TEXT("display"), TRUTH("admin"),
	TEXT("title"), TEXT("domain"), TEXT("url"), TEXT("version"), NUMBER_OR_NULL("session"));

const struct api_shape api_shape_user = SHAPE("User", TEXT("name"), TEXT("display"), TRUTH("admin"),
	TRUTH("disabled"), TRUTH("has_password"), NUMBER("created"), TEXTS("devices"),
	NUMBER("sessions"), NUMBER_OR_NULL("last_seen"), NUMBER_OR_NULL("invite_expires"));

const struct api_shape api_shape_users = SHAPE("Users", LIST("users", &api_shape_user));

const struct api_shape api_shape_link = SHAPE("Link", TEXT("link"), NUMBER("expires"));

const struct api_shape api_shape_invite =
	SHAPE("Invite", ONE("user", &api_shape_user), TEXT("link"), NUMBER("expires"));

const struct api_shape api_shape_token = SHAPE("Token", TEXT("host"), TEXT("url"), TEXT("token"));

static const struct api_shape session = SHAPE("Session", NUMBER("id"), TRUTH("script"),
	TEXT_OR_NULL("device"), TEXT("agent"), TEXT_OR_NULL("address"), NUMBER("created"),
	NUMBER("last_seen"), NUMBER("expires"), TRUTH("current"), TEXTS("devices"));

const struct api_shape api_shape_sessions = SHAPE("Sessions", LIST("sessions", &session));

/* ---- the whole ---- */

static const char *const froms[] = {"lan", "any", NULL};
static const char *const modes[] = {"wildcard", "per-device", NULL};

static const struct api_shape listens = SHAPE("Listen", NUMBER("port"), NUMBER_OR_NULL("http_port"),
	TEXTS("addresses"), NUMBER("public_port"), WORD("from", froms));

static const struct api_shape steward = SHAPE("Steward", TRUTH("up"), NUMBER_OR_NULL("started"),
	NUMBER_OR_NULL("heard"), NUMBER("starts"));

static const struct api_shape clock =
	SHAPE("Time", NUMBER("now"), TRUTH("believable"), TEXT_OR_NULL("why"));

static const struct api_shape sandbox =
	SHAPE("Sandbox", TRUTH("system_calls"), NUMBER("landlock"));

const struct api_shape api_shape_status = SHAPE("Status", TEXT("version"), NUMBER("started"),
	NUMBER("uptime"), TEXT("domain"), TEXT("url"), TEXT("title"), WORD("mode", modes),
	ONE("listen", &listens), TEXTS("addresses"), LIST("names", &name),
	LIST("certificates", &api_shape_certificate), NUMBER_OR_NULL("trusted_until"),
	LIST("devices", &api_shape_device), ONE("steward", &steward), ONE("time", &clock),
	ONE("sandbox", &sandbox));

const struct api_shape api_shape_reload = SHAPE("Reload", TEXTS("restart_needed_for"));
const struct api_shape api_shape_logs = SHAPE("Logs", TEXTS("lines"));

static const char *const changes[] = {
	"certificates", "devices", "launcher", "me", "people", "status", NULL};

const struct api_shape api_shape_event = SHAPE("Event", WORDS("what", changes));
