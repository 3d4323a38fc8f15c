/*
 * The indexes of the registry in MongoDB; docs/mongodb.md has the documents.
 * Two indexes of a collection never have the same keys, which servers before
 * 5.0 refuse even where their filters differ.
 */
#include "store/registry/mongodb/private.h"

#define HELD "{\"held\":{\"$gt\":0}}"

const struct mongodb_index registry_mongodb_indexes[] = {
    /* --- accounts ------------------------------------------------------ */
    {REGISTRY_TENANT, "tenant_name", "name:1", true, NULL},
    {REGISTRY_DOMAIN, "domain_of_tenant", "tenant:1,_id:1", false, NULL},
    {REGISTRY_KEY, "key_prefix", "prefix:1", true, NULL},
    {REGISTRY_KEY, "key_slot", "tenant:1,agent:1,slot:1", true, NULL},
    {REGISTRY_USER, "user_login", "login:1", true, NULL},
    {REGISTRY_USER, "user_of_tenant", "tenant:1,login:1", false, NULL},

    /* --- lists -------------------------------------------------------- */
    {REGISTRY_ENTRY, "entry_id", "id:1", false, NULL},
    {REGISTRY_ENTRY, "entry_by_revision", "tenant:1,revision:1", false, NULL},
    {REGISTRY_ENTRY, "entry_live", "tenant:1,id:1", false,
     "{\"deleted\":false}"},
    {REGISTRY_ENTRY, "entry_scanned", "tenant:1,scan:1", false,
     "{\"scan\":true}"},
    {REGISTRY_POLICY, "policy_waiting", "waiting:1", false,
     "{\"waiting\":{\"$gt\":0}}"},

    /* --- registered mail ---------------------------------------------- */
    {REGISTRY_MESSAGE, "message_of_tenant", "tenant:1,_id:1", false, NULL},
    {REGISTRY_MESSAGE, "message_by_sender", "sender_normal:1,tenant:1,_id:1",
     false, NULL},
    {REGISTRY_MESSAGE, "message_by_recipient",
     "recipients.address:1,tenant:1,_id:1", false, NULL},
    {REGISTRY_MESSAGE, "message_by_challenge", "challenge:1,_id:1", false,
     "{\"challenge\":{\"$exists\":true}}"},
    {REGISTRY_MESSAGE, "message_held", "tenant:1,_id:1,held:1,size:1", false,
     HELD},
    {REGISTRY_MESSAGE, "message_held_any", "_id:1,held:1", false, HELD},
    {REGISTRY_MESSAGE, "message_expiry", "expires:1,_id:1,held:1", false, HELD},
    {REGISTRY_MESSAGE, "message_ended", "expires:1,_id:1", false,
     "{\"held\":0}"},
    {REGISTRY_MESSAGE, "message_pending", "pending:1,_id:1", false,
     "{\"pending\":{\"$gt\":0}}"},

    /* --- decisions ---------------------------------------------------- */
    {REGISTRY_DECISION, "decision_sequence", "tenant:1,sequence:1", true, NULL},
    {REGISTRY_DECISION, "decision_decided", "decided:1", false, NULL},

    /* --- challenges and senders --------------------------------------- */
    {REGISTRY_CHALLENGE, "challenge_slot", "sender_hash:1,slot:1", true, NULL},
    {REGISTRY_CHALLENGE, "challenge_expiry", "expires:1,_id:1", false,
     "{\"state\":\"open\"}"},
    {REGISTRY_CHALLENGE, "challenge_changed", "state:1,changed:1,_id:1", false,
     NULL},
    {REGISTRY_CHALLENGE, "challenge_mail", "mail_next:1,_id:1", false,
     "{\"state\":\"open\",\"mail\":\"pending\"}"},
    {REGISTRY_CHALLENGE, "challenge_of_sender", "sender_hash:1,created:1",
     false, NULL},
    {REGISTRY_CHALLENGE, "challenge_of_client", "client_hash:1,created:1",
     false, NULL},
    {REGISTRY_CHALLENGE, "challenge_of_domain", "domain_hash:1,created:1",
     false, NULL},
    {REGISTRY_CHALLENGE, "challenge_of_tenant", "tenant:1,created:1", false,
     NULL},
    {REGISTRY_CHALLENGE, "challenge_created", "created:1", false, NULL},
    {REGISTRY_DEAD_SENDER, "dead_sender_marked", "marked:1", false, NULL},

    /* --- the audit ---------------------------------------------------- */
    {REGISTRY_AUDIT_LINE, "audit_at", "at:1", false, NULL},
};

const size_t registry_mongodb_index_count =
    sizeof(registry_mongodb_indexes) / sizeof(*registry_mongodb_indexes);
