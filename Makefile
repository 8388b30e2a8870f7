# SPDX-License-Identifier: LGPL-2.1-or-later
# One plain Makefile. `sudo make demo` shows the main job, `sudo make check` runs every test; each sets itself up.

VERSION    := $(shell cat packaging/VERSION)
prefix     ?= /usr
bindir     ?= $(prefix)/bin
sbindir    ?= $(prefix)/sbin
libdir     ?= $(prefix)/lib
libexecdir ?= $(prefix)/libexec
datadir    ?= $(prefix)/share
mandir     ?= $(datadir)/man
sysconfdir ?= /etc
MULTIARCH  ?= $(shell $(CC) -print-multiarch)
pamdir     ?= $(libdir)/$(MULTIARCH)/security
PYTHON     ?= /usr/bin/python3

# SANITIZE=address,undefined builds everything in a folder of its own; WERROR=1 is for CI.
SANITIZE ?=
BUILD    ?= build$(if $(SANITIZE),/sanitize)
OBJ       = $(BUILD)/obj

CFLAGS   ?= -O2 -g
WARNINGS := -Wall -Wextra -Wno-missing-field-initializers -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 $(if $(WERROR),-Werror)
CET      := $(if $(filter x86_64% i%86%,$(shell $(CC) -dumpmachine)),-fcf-protection=full)
HARDEN   := -fstack-protector-strong -fPIC $(CET) $(if $(SANITIZE),,-D_FORTIFY_SOURCE=2)
ALL_CFLAGS  = -std=gnu17 -D_GNU_SOURCE -I. -DLB_VERSION='"$(VERSION)"' -DLB_LIBEXECDIR='"$(libexecdir)/lockbox"' \
              -DLB_SBINDIR='"$(sbindir)"' -DLB_BINDIR='"$(bindir)"' $(CFLAGS) $(WARNINGS) $(HARDEN) \
              $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all) $(CPPFLAGS)
ALL_LDFLAGS = $(LDFLAGS) -Wl,-z,relro,-z,now $(if $(SANITIZE),-fsanitize=$(SANITIZE),-Wl,-z,defs)

Q := $(if $(V),,@)
say = $(if $(V),,@echo '  $(1)' '$(2)';)

objects = $(patsubst %.c,$(OBJ)/%.o,$(wildcard $(1)))

policy_o := $(call objects,policy/*.c)
proto_o  := $(call objects,lockboxd/proto/*.c)
daemon_o := $(filter-out %/main.o,$(call objects,lockboxd/*.c)) $(OBJ)/lockboxd/interfaces.o
ctl_o    := $(call objects,lockboxd/ctl/*.c)
inspect_o := $(call objects,lockboxd/inspect/*.c lockboxd/inspect/doctor/*.c)
courier_o := $(call objects,lockboxd/courier/*.c) $(addprefix $(OBJ)/lockboxd/courier/,interface.o mail_texts.o)
pam_o    := $(call objects,pam_lockbox/*.c) $(OBJ)/policy/fields.o $(OBJ)/lockboxd/proto/json.o \
            $(OBJ)/lockboxd/proto/varlink.o $(OBJ)/lockboxd/proto/client.o

jansson  := -ljansson
daemon_l := -lsystemd -lsqlite3 -lcrypto -lqrencode $(jansson)
courier_l := $(daemon_l) -lcurl

unit_tests := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
benches    := $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))
pam_tests  := $(BUILD)/tests/pam/driver $(BUILD)/tests/pam/killer.so

.SECONDARY:
.PHONY: all
all: $(BUILD)/pam_lockbox.so $(BUILD)/lockboxd $(BUILD)/lockboxctl $(BUILD)/lockbox-inspect $(BUILD)/lockbox-courier

$(BUILD)/pam_lockbox.so: $(pam_o) pam_lockbox/pam_lockbox.map
	$(call say,LD,$@)$(CC) -shared -o $@ $(pam_o) -Wl,--version-script=pam_lockbox/pam_lockbox.map \
	  $(ALL_LDFLAGS) -lpam $(jansson)

$(BUILD)/lockboxd: $(OBJ)/lockboxd/main.o $(daemon_o) $(policy_o) $(proto_o)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(daemon_l)

$(BUILD)/lockboxctl: $(ctl_o) $(OBJ)/lockboxd/policy_files.o $(OBJ)/lockboxd/people.o $(OBJ)/lockboxd/read_text.o \
                     $(addprefix $(OBJ)/lockboxd/,chain.o peek.o verify.o fold.o entries.o store.o sql.o pasted.o qr.o) $(policy_o) $(proto_o)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) -lsystemd -lsqlite3 -lcrypto -lqrencode $(jansson)

$(BUILD)/lockbox-inspect: $(inspect_o) $(addprefix $(OBJ)/lockboxd/,chain.o policy_files.o people.o read_text.o ctl/table.o ctl/human.o) \
                          $(policy_o) $(proto_o)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) -lcrypto $(jansson)

$(BUILD)/lockbox-courier: $(courier_o) $(policy_o) $(proto_o) \
                          $(addprefix $(OBJ)/lockboxd/,caller.o chain.o child.o read_text.o log.o clock.o proc.o pace.o sql.o)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(courier_l)

$(OBJ)/%.o: %.c packaging/VERSION
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The interface files, as strings for GetInterfaceDescription.
$(OBJ)/lockboxd/interfaces.c: $(wildcard lockboxd/proto/*.varlink) Makefile
	@mkdir -p $(@D)
	$(Q){ echo '#include "lockboxd/interfaces.h"'; echo 'const struct lb_interface lb_interfaces[] = {'; \
	for f in $(sort $(wildcard lockboxd/proto/*.varlink)); do \
	  echo "    { \"$$(basename $$f .varlink)\","; sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/      "&\\n"/' $$f; echo '    },'; \
	done; echo '    { 0 },'; echo '};'; } >$@
$(OBJ)/lockboxd/interfaces.o: $(OBJ)/lockboxd/interfaces.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The texts of mails, built in as they are installed.
mail_texts := $(sort $(wildcard packaging/mail/*))
$(OBJ)/lockboxd/courier/mail_texts.c: $(mail_texts) Makefile
	@mkdir -p $(@D)
	$(Q){ echo '#include "lockboxd/courier/mail_texts.h"'; echo 'const struct lb_mail_text lb_mail_texts[] = {'; \
	for f in $(mail_texts); do echo "    { \"$${f##*/}\","; sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/      "&\\n"/' $$f; echo '    },'; \
	done; echo '    { 0 },'; echo '};'; } >$@
$(OBJ)/lockboxd/courier/mail_texts.o: $(OBJ)/lockboxd/courier/mail_texts.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/lockboxd/courier/interface.c: lockboxd/courier/org.lockbox.Courier.varlink Makefile
	@mkdir -p $(@D)
	$(Q){ echo '#include "lockboxd/courier/control.h"'; echo 'const char lb_courier_interface[] ='; \
	sed 's/\\/\\\\/g; s/"/\\"/g; s/.*/  "&\\n"/' $<; echo ';'; } >$@
$(OBJ)/lockboxd/courier/interface.o: $(OBJ)/lockboxd/courier/interface.c
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find $(OBJ) -name "*.d" 2>/dev/null)

# --- tests -----------------------------------------------------------------------------------------------------------

# What ssh-keygen loads as a security key: never with sanitizers, which it has not.
sk_provider := $(BUILD)/tests/sk_provider.so
$(sk_provider): tests/unit/sk_provider.c
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -std=gnu17 $(CFLAGS) $(WARNINGS) -shared -fPIC -o $@ $< -lcrypto

$(BUILD)/tests/unit/test_signer: | $(sk_provider)
$(BUILD)/tests/unit/test_pam_walk: more_l = -lpam
$(BUILD)/tests/unit/%: $(OBJ)/tests/unit/%.o $(daemon_o) $(policy_o) $(proto_o) $(filter-out %/main.o,$(ctl_o) $(inspect_o) $(courier_o))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(courier_l) $(more_l) -lcmocka -lpthread

$(BUILD)/tests/bench/%: $(OBJ)/tests/bench/%.o $(daemon_o) $(policy_o) $(proto_o)
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(daemon_l) -lpam -lpthread

$(BUILD)/tests/pam/%: $(OBJ)/tests/pam/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) -lpam

$(BUILD)/tests/pam/%.so: $(OBJ)/tests/pam/%.o
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -shared -o $@ $^ $(ALL_LDFLAGS)

# Fuzz targets, with a main of their own that mixes what is in tests/fuzz/seeds; a fuzzer's own main, and coverage, with
#   make CC=clang SANITIZE=fuzzer,address,undefined BUILD=build/fuzz build/fuzz/tests/fuzz/fuzz_reply
fuzzers := $(patsubst tests/fuzz/%.c,$(BUILD)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
wrap = $(addprefix -Wl$(comma)--wrap=,$(1))
comma := ,
$(OBJ)/tests/fuzz/%.o: CPPFLAGS += $(if $(findstring fuzzer,$(SANITIZE)),,-DLB_FUZZ_MAIN)
$(BUILD)/tests/fuzz/fuzz_dialogue: more_l = $(call wrap,sd_event_source_set_time_relative lb_service_open lb_transfer_start \
  lb_transfer_free lb_query_start lb_query_free lb_log)
$(BUILD)/tests/fuzz/fuzz_config: more_l = $(call wrap,lb_read_text lb_mail_templates_load)
$(BUILD)/tests/fuzz/fuzz_template: more_l = $(call wrap,lb_read_text)
$(BUILD)/tests/fuzz/fuzz_control: more_l = $(call wrap,lb_transfer_start)
$(BUILD)/tests/fuzz/%: $(OBJ)/tests/fuzz/%.o $(daemon_o) $(policy_o) $(proto_o) $(filter-out %/main.o,$(courier_o))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) -pie -o $@ $^ $(ALL_LDFLAGS) $(courier_l) $(more_l)

.PHONY: check-fuzz
check-fuzz: $(fuzzers)
	$(Q)tests/fuzz/run.sh $(fuzzers)

.PHONY: check-unit
check-unit: $(unit_tests)
	$(Q)tests/unit/run.sh $(unit_tests)

.PHONY: lint
lint:
	$(Q)tests/lint.sh

.PHONY: check-pam
check-pam: all $(pam_tests)
	$(Q)LOCKBOX_BUILD=$(abspath $(BUILD)) PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -p no:cacheprovider tests/pam

# What boots an appliance installs packages, builds and makes the image by itself, and needs root.
again = $(MAKE) --no-print-directory $(if $(findstring j,$(MAKEFLAGS)),,-j$(shell nproc))
stage = $(again) --silent install DESTDIR=build/stage prefix=/usr

.PHONY: check-system
check-system:
	$(Q)tests/setup.sh test
	$(Q)$(stage) $(sk_provider)
	$(Q)LOCKBOX_STAGED=1 tests/system/run.sh pytest -q -n $$((2 * $$(nproc))) --dist loadfile tests/system

# What repeats too often for every day: each way in which something could outlive an access, and the courier killed at
# many moments, twenty times; the power gone and the daemon killed at every single write; ten thousand damages; and what
# comes from outside in a hundred thousand mixtures.
.PHONY: check-long
check-long: export LOCKBOX_LONG := 1
check-long:
	$(Q)tests/setup.sh test
	$(Q)LIMIT=1200 $(again) check-unit check-pam
	$(Q)LIMIT=1200 ROUNDS=100000 $(again) SANITIZE=address,undefined check-fuzz
	$(Q)$(stage)
	$(Q)LOCKBOX_REPEAT=20 tests/system/run.sh pytest -q tests/system/test_survivors.py \
	  tests/system/test_courier.py::test_killed_again_and_again
	$(Q)LOCKBOX_REPEAT=20 tests/system/run.sh pytest -q tests/system/test_export.py -k killed

.PHONY: check
check:
	$(Q)tests/check.sh

# DEMO=auto plays both parts; a person at a terminal plays them himself.
.PHONY: demo
demo:
	$(Q)tests/setup.sh test
	$(Q)$(stage)
	$(Q)tests/system/run.sh demo

.PHONY: bench
bench:
	$(Q)tests/setup.sh test
	$(Q)$(stage) $(benches)
	$(Q)tests/system/run.sh $(PYTHON) tests/bench/run.py

# --- install ---------------------------------------------------------------------------------------------------------

put = install -D -m $(1) $(2) '$(DESTDIR)$(3)'
put_all = install -D -m 0644 -t '$(DESTDIR)$(2)' $(1)

.PHONY: install
install: all
	$(call put,0755,$(BUILD)/pam_lockbox.so,$(pamdir)/pam_lockbox.so)
	$(call put,0755,$(BUILD)/lockboxd,$(sbindir)/lockboxd)
	$(call put,0755,$(BUILD)/lockboxctl,$(bindir)/lockboxctl)
	$(call put,0755,$(BUILD)/lockbox-inspect,$(libexecdir)/lockbox/lockbox-inspect)
	$(call put,0755,$(BUILD)/lockbox-courier,$(libexecdir)/lockbox/lockbox-courier)
	$(call put,0755,packaging/pam/pam-setup,$(libexecdir)/lockbox/pam-setup)
	install -d '$(DESTDIR)$(libdir)/systemd/system'
	for f in packaging/systemd/*.service packaging/systemd/*.socket; do \
	  sed 's|/usr/sbin/lockboxd|$(sbindir)/lockboxd|g; s|/usr/libexec/lockbox|$(libexecdir)/lockbox|g' $$f >'$(DESTDIR)$(libdir)/systemd/system/'$${f##*/} || exit 1; done
	$(call put,0644,packaging/systemd/90-lockbox.preset,$(libdir)/systemd/system-preset/90-lockbox.preset)
	$(call put,0644,packaging/sysusers.d/lockbox.conf,$(libdir)/sysusers.d/lockbox.conf)
	$(call put,0644,packaging/tmpfiles.d/lockbox.conf,$(libdir)/tmpfiles.d/lockbox.conf)
	$(call put,0644,packaging/catalog/lockbox.catalog,$(libdir)/systemd/catalog/lockbox.catalog)
	$(call put_all,packaging/pam/snippets/*,$(datadir)/lockbox/pam)
	$(call put,0644,packaging/polkit/00-lockbox.rules,$(datadir)/polkit-1/rules.d/00-lockbox.rules)
	$(call put_all,packaging/sshd/*.conf,$(datadir)/lockbox/sshd)
	$(call put_all,packaging/journal/*,$(datadir)/lockbox/journal)
	$(call put_all,packaging/mail/*,$(datadir)/lockbox/mail)
	$(call put_all,packaging/examples/*,$(datadir)/lockbox/examples)
	$(call put_all,policy/examples/*.policy,$(datadir)/lockbox/examples)
	$(call put_all,policy/examples/actions/*,$(datadir)/lockbox/examples/actions)
	$(call put,0644,packaging/remote/openapi.yaml,$(datadir)/lockbox/remote/openapi.yaml)
	$(call put,0755,packaging/remote/approval-service,$(datadir)/lockbox/remote/approval-service)
	$(foreach s,1 5 7 8,$(call put_all,packaging/man/*.$(s),$(mandir)/man$(s)) &&) true
	$(call put,0644,packaging/completion/lockboxctl,$(datadir)/bash-completion/completions/lockboxctl)

# The images of the test appliance take a minute to make and stay; `make distclean` takes them, too.
.PHONY: clean distclean
clean:
	rm -rf $(filter-out build/image-%,$(wildcard build/*))
distclean:
	rm -rf build
