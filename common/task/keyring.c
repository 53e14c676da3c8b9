/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Keys (keyctl(2)) that a task holds through its credentials: in keyrings of a thread, of the process, of a session. Nothing
 * can put one back under its number, so who has some is refused. A session keyring is what a login or a service manager
 * gave it; with nothing in it but the way to the user's own keyrings it is not missed, and one that is ours as well the
 * restored task has again.
 */
#include <errno.h>
#include <linux/keyctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "common/task/task.h"

#define KEYS 4 /* of a session keyring that are looked at */
#define DESCRIPTION 128

struct keyring_slot {
	bool asked;
	int32_t own; /* session keyring of the dumper */
	bool session_asked;
	struct step_ref thread, process, session, read, described[KEYS];
	struct data_ref serials, text[KEYS];
};

static int32_t own_session(struct dump *d)
{
	static const char key[] = "session keyring";
	bool fresh;
	int32_t *own = dump_recall(d, key, sizeof(*own), &fresh);

	if (fresh)
		*own = (int32_t)syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	if (fresh && *own < 0 && (errno == EKEYREVOKED || errno == EKEYEXPIRED)) /* of a login that has ended */
		*own = 0;
	return *own;
}

static struct step_ref ask_id(struct program *prog, const char *what, int32_t which)
{
	return program_try(prog, 0, what, SYS_keyctl, A(KEYCTL_GET_KEYRING_ID), A((uint64_t)(int64_t)which), A(0));
}

/*
 * Whoever asks for a session keyring gets one, if he has none (security/keys/process_keys.c, lookup_user_key()): new credentials, his
 * own, in which the user's keyring stands that was found without it. So where the kernel's records tell that no thread has any, nobody is
 * asked.
 */
static bool may_have_session(const struct dump_task *t)
{
	for (size_t i = 0; i < t->nthreads; i++)
		if (!t->threads[i].frozen->dead && (!t->threads[i].told || t->threads[i].told[TOLD_SESSION_KEYRING]))
			return true;
	return !(t->told_known & TOLD(SESSION_KEYRING));
}

static void ask_session(struct program *prog, struct keyring_slot *s)
{
	s->session_asked = true;
	s->session = ask_id(prog, "session keyring", KEY_SPEC_SESSION_KEYRING);
	s->serials = program_data(prog, NULL, (KEYS + 1) * sizeof(int32_t)); /* a load takes 8 bytes */
	s->read = program_try(prog, 0, "keys of the session", SYS_keyctl, A(KEYCTL_READ),
			      A((uint64_t)(int64_t)KEY_SPEC_SESSION_KEYRING), A_DATA(s->serials), A(KEYS * sizeof(int32_t)));
	for (size_t i = 0; i < KEYS; i++) {
		struct data_ref at = { s->serials.off + (uint32_t)(i * sizeof(int32_t)), 8 };

		s->text[i] = program_data(prog, NULL, DESCRIPTION);
		/* The kernel takes the lower half for the serial number. */
		s->described[i] = program_try(prog, 0, "a key of the session", SYS_keyctl, A(KEYCTL_DESCRIBE), A_LOAD(at),
					      A_DATA(s->text[i]), A(DESCRIPTION));
	}
}

static int ask_keyring(struct dump *d, struct program *prog, void *slot, struct err *err)
{
	struct keyring_slot *s = slot;

	/* A filter may kill for a call that the program does not know of. */
	for (size_t i = 0; i < d->task->nthreads; i++)
		if (d->task->threads[i].status.seccomp)
			return 0;
	s->own = own_session(d);
	if (s->own < 0) /* built without, or forbidden where we run */
		return 0;
	s->asked = true;
	s->thread = ask_id(prog, "thread keyring", KEY_SPEC_THREAD_KEYRING);
	s->process = ask_id(prog, "process keyring", KEY_SPEC_PROCESS_KEYRING);
	if (may_have_session(d->task))
		ask_session(prog, s);
	return 0;
}

/* security/keys/process_keys.c, lookup_user_key(): all of these hang on the credentials. */
static struct told_rule keyring_told(const void *slot)
{
	return (struct told_rule){ .same = TOLD(CRED) | TOLD(SESSION_KEYRING) };
}

/* "keyring;0;65534;1f3f0000;_uid.0": the ways to what belongs to a user, not to a task. */
static bool is_users(const char *text)
{
	const char *name = strrchr(text, ';');

	return !strncmp(text, "keyring;", 8) && name && (!strncmp(name, ";_uid.", 6) || !strncmp(name, ";_uid_ses.", 10) ||
							 !strncmp(name, ";_persistent.", 13));
}

static int check_session(const struct dump_thread *thread, const struct program *prog, const struct keyring_slot *s,
			 struct err *err)
{
	int64_t bytes = program_result(prog, s->read);

	for (size_t i = 0; i < KEYS && bytes > 0 && (size_t)bytes > i * sizeof(int32_t); i++) {
		int64_t n = program_result(prog, s->described[i]);
		char text[DESCRIPTION] = "";
		const char *at;

		memcpy(text, program_answer(prog, s->text[i]), sizeof(text) - 1);
		if (n < 0) /* expired or revoked */
			continue;
		if (n <= DESCRIPTION && is_users(text))
			continue;
		at = n <= DESCRIPTION ? strrchr(text, ';') : NULL;
		return err_refuse(err, "thread %d has the key \"%s\" in its session keyring", thread->frozen->tid,
				  at ? at + 1 : "?");
	}
	if ((size_t)MAX(bytes, (int64_t)0) > KEYS * sizeof(int32_t))
		return err_refuse(err, "thread %d has keys in its session keyring", thread->frozen->tid);
	return 0;
}

static int dump_keyring(struct dump *d, struct dump_thread *thread, const struct program *prog, const void *slot,
			struct err *err)
{
	const struct keyring_slot *s = slot;

	if (!s->asked)
		return 0;
	if (program_result(prog, s->thread) > 0 || program_result(prog, s->process) > 0)
		return err_refuse(err, "thread %d has a %s keyring (keyctl)", thread->frozen->tid,
				  program_result(prog, s->thread) > 0 ? "thread" : "process");
	if (!s->session_asked || program_result(prog, s->session) == s->own)
		return 0;
	return check_session(thread, prog, s, err);
}

const struct state_kind keyring_kind = {
	.name = "keyrings",
	.scope = SCOPE_THREAD,
	.slot_size = sizeof(struct keyring_slot),
	.ask = ask_keyring,
	.told = keyring_told,
	.dump = dump_keyring,
};
