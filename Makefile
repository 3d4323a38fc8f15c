# Turing challenge-response mail gateway. GNU make.
#
#   make            builds turing-agent, turing-cloud and turing-sandbox
#   make help       lists the other targets and the variables

PREFIX     ?= /usr/local
SBINDIR    ?= $(PREFIX)/sbin
MANDIR     ?= $(PREFIX)/share/man
DOCDIR     ?= $(PREFIX)/share/doc/turing
SYSCONFDIR ?= /etc
UNITDIR    ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
BUILD      ?= build
CC         ?= cc
PKG_CONFIG ?= pkg-config
PYTHON     ?= /usr/bin/python3
VERSION    := 0.1.0

# DEVELOPER=1 turns warnings into errors; SANITIZER=address|undefined|thread
# (or address,undefined) builds with a sanitizer, in a build folder of its own.
DEVELOPER ?=
SANITIZER ?=
comma := ,
ifneq ($(SANITIZER),)
override BUILD := $(BUILD)-$(subst $(comma),-,$(SANITIZER))
endif

PACKAGES := libmicrohttpd libcurl sqlite3 libesmtp-1.0 jansson libpng \
            libevent libevent_pthreads openssl libsodium libidn2 libpsl libmongoc-1.0

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wvla -Wwrite-strings -Wformat=2
CFLAGS   ?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE -DTURING_VERSION='"$(VERSION)"'
ifneq ($(SANITIZER),)
HARDENING :=
SAN_FLAGS := -fsanitize=$(SANITIZER) -fno-omit-frame-pointer \
             -fno-sanitize-recover=all
else
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
LINK_HARDENING := -pie -Wl,-z,relro,-z,now
endif
ALL_CFLAGS = -std=c11 $(WARNINGS) $(if $(DEVELOPER),-Werror) $(CFLAGS) \
             $(HARDENING) $(SAN_FLAGS) -pthread $(PKG_CFLAGS)

# Evaluated when a recipe first needs it, so that "make deps" can run first.
# As system headers: their warnings are not ours.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PACKAGES))))$(PKG_CFLAGS)
PKG_LIBS   = $(eval PKG_LIBS := $(shell $(PKG_CONFIG) --libs $(PACKAGES)))$(PKG_LIBS)
CHECK_LIBS = $(eval CHECK_LIBS := $(shell $(PKG_CONFIG) --libs check))$(CHECK_LIBS)

# A folder with sources is a library.
DAEMONS         := local-agent cloud-service sandbox
SOURCE_FOLDERS  := $(sort $(patsubst %/,%,$(dir $(foreach f,common captcha \
                     store $(DAEMONS),$(wildcard $(f)/*.c $(f)/*/*.c \
                     $(f)/*/*/*.c)))))
PROGRAMS := turing-agent turing-cloud turing-sandbox

sources_of = $(filter-out %/main.c,$(wildcard $(1)/*.c))
objects_of = $(patsubst %.c,$(BUILD)/%.o,$(call sources_of,$(1)))
library_of = $(BUILD)/lib$(subst /,-,$(1)).a
libraries_of = $(foreach f,$(filter $(1) $(1)/%,$(SOURCE_FOLDERS)),\
                 $(call library_of,$(f)))
COMMON_LIBRARIES := $(foreach f,common captcha store,$(call libraries_of,$(f)))
ALL_LIBRARIES    := $(foreach f,$(SOURCE_FOLDERS),$(call library_of,$(f)))

BENCHES    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/bench/bench-*.c))
FUZZERS    := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz-*.c))
FAULT_SHIM := $(BUILD)/tests/fault/fault-shim.so
HEADERS    := $(wildcard $(addsuffix /*.h,$(SOURCE_FOLDERS)) store/*.h)
ASSETS     := $(wildcard cloud-service/challenge/pages/*)

.PHONY: all help deps test-deps run test test-debian12 test-debian13 unit \
        check bench soak fuzz benches fuzzers fault-shim install uninstall \
        clean check-includes check-headers check-format check-docs tidy \
        cppcheck
all: $(addprefix $(BUILD)/,$(PROGRAMS))

define HELP
usage: make [TARGET ...] [VARIABLE=VALUE ...]

  all             builds turing-agent, turing-cloud, turing-sandbox (default)
  run             installs what is missing, builds, shows all of it at work
  install         to PREFIX, the configuration to SYSCONFDIR; as root
  uninstall       takes away what install put there
  clean           removes what was built
  deps            installs the Debian packages that building wants
  test-deps       installs those that the tests want

  test            every test: what CI runs
  unit            the unit tests; with TEST=PROGRAM that one, for instance
                  TEST=tests/unit/http/test-wait
  test-debian12   every test in a fresh Debian 12
  test-debian13   every test in a fresh Debian 13
  bench           the benchmarks, beside Postfix; writes build/bench.json
  soak            a long run under load, with faults
  fuzz            the fuzzers, one after the other
  benches         builds the programs of bench
  fuzzers         builds those of fuzz (CC=clang SANITIZER=fuzzer,address)
  fault-shim      builds the library by which tests make system calls fail

  check           the static checks, which are
  check-includes    which folder may include which
  check-headers     every header compiles alone
  check-format      clang-format
  check-docs        manual pages and docs/openapi.yaml
  tidy              clang-tidy, of TIDY_FILES="a.c b.c" or of all
  cppcheck          cppcheck

Variables:
  DEVELOPER=1     warnings are errors
  SANITIZER=NAME  address, undefined, thread or address,undefined
  BUILD=DIR       where to build: $(BUILD)
  PREFIX, SBINDIR, MANDIR, DOCDIR, SYSCONFDIR, UNITDIR, SYSUSERSDIR,
  TMPFILESDIR, DESTDIR
                  where to install: PREFIX is $(PREFIX)
  STORE, CLOUDS, MONGODB_URI
                  for run: STORE=mongodb CLOUDS=3 MONGODB_URI=mongodb://...
                  is the same on MongoDB, three clouds behind HAProxy
endef
help:
	$(info $(HELP))@:

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Files that are embedded by .incbin: their objects follow them.
$(BUILD)/cloud-service/challenge/assets.o: $(ASSETS)
$(BUILD)/cloud-service/api/health.o: docs/openapi.yaml
$(BUILD)/common/mail/automatic-table.o: common/mail/automatic.tab

define library_rule
$(call library_of,$(1)): $(call objects_of,$(1))
	@rm -f $$@
	@mkdir -p $$(@D)
	ar rcs $$@ $$^
endef
$(foreach f,$(SOURCE_FOLDERS),$(eval $(call library_rule,$(f))))

LINK = $(CC) $(ALL_CFLAGS) $(LINK_HARDENING) $(LDFLAGS) -o $@
# Rooms of the store know each other by tables of functions, both ways.
group = -Wl,--start-group $(1) -Wl,--end-group

$(BUILD)/turing-agent: $(BUILD)/local-agent/main.o \
    $(call libraries_of,local-agent) $(COMMON_LIBRARIES)
	$(LINK) $(call group,$^) $(PKG_LIBS)
$(BUILD)/turing-cloud: $(BUILD)/cloud-service/main.o \
    $(call libraries_of,cloud-service) $(COMMON_LIBRARIES)
	$(LINK) $(call group,$^) $(PKG_LIBS) -lm
$(BUILD)/turing-sandbox: $(BUILD)/sandbox/main.o \
    $(call libraries_of,sandbox) $(COMMON_LIBRARIES)
	$(LINK) $(call group,$^) $(PKG_LIBS)

# Files beside the tests that several of them use.
SUPPORT := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support/*.c))
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(SUPPORT) $(ALL_LIBRARIES)
	$(LINK) $< $(SUPPORT) $(call group,$(ALL_LIBRARIES)) $(PKG_LIBS) $(CHECK_LIBS) -lm
$(BUILD)/tests/fault/%.so: tests/fault/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -Wall -Wextra $(CFLAGS) -fPIC -shared \
	  -o $@ $< -ldl
# With libFuzzer's main: built with CC=clang SANITIZER=fuzzer,..., see
# tests/fuzz/run.
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $(ALL_LIBRARIES)
	$(LINK) $< $(call group,$(ALL_LIBRARIES)) $(PKG_LIBS) -lm
.SECONDARY:

deps:
	@ops/install-packages build
test-deps:
	@ops/install-packages build test peers

# make run STORE=mongodb CLOUDS=3 MONGODB_URI=mongodb://...
STORE  ?= sqlite
CLOUDS ?= 1
run:
	@$(MAKE) --no-print-directory deps
	@$(if $(filter-out 1,$(CLOUDS)),ops/install-packages balancer)
	@$(MAKE) --no-print-directory -s -j2 all
	@$(PYTHON) ops/demo --build $(BUILD) --store $(STORE) --clouds $(CLOUDS)

unit:
	@$(MAKE) --no-print-directory test-deps
	@$(PYTHON) tests/run unit $(TEST)

test:
	@$(MAKE) --no-print-directory test-deps
	@$(PYTHON) tests/run

benches: $(BENCHES)
fuzzers: $(FUZZERS)
fault-shim: $(FAULT_SHIM)

# The same in a root of another Debian.
test-debian12 test-debian13: test-debian%:
	@$(PYTHON) tests/debian/run $(if $(filter 12,$*),bookworm,trixie)

bench:
	@$(MAKE) --no-print-directory test-deps
	@$(MAKE) --no-print-directory -s -j2 all benches
	@$(PYTHON) tests/bench/run
soak:
	@$(MAKE) --no-print-directory test-deps
	@$(MAKE) --no-print-directory -s -j2 all fault-shim
	@$(PYTHON) tests/soak/run
fuzz:
	@$(MAKE) --no-print-directory test-deps
	@$(PYTHON) tests/fuzz/run

# The versions that formatting and warnings are those of: Debian 12's.
CLANG    := 14
CPPCHECK := 2.10
check: check-includes check-headers check-format check-docs tidy cppcheck
check-includes:
	@$(PYTHON) tests/checks/includes
check-headers:
	@for h in $(HEADERS); do \
	  $(CC) $(CPPFLAGS) $(filter-out $(HARDENING),$(ALL_CFLAGS)) \
	    -Werror -fsyntax-only -x c $$h || exit 1; done
check-format:
	@tests/checks/where-version clang-format $(CLANG) \
	  clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h')
check-docs:
	@mandoc -T lint -W warning docs/*.5 docs/*.8
	@$(PYTHON) tests/checks/openapi docs/openapi.yaml
tidy:
	@tests/checks/where-version clang-tidy $(CLANG) \
	  tests/checks/tidy $(CPPFLAGS) -std=c11 $(PKG_CFLAGS)
cppcheck:
	@tests/checks/where-version cppcheck $(CPPCHECK) \
	  cppcheck --quiet --std=c11 --enable=warning,performance,portability \
	  --inline-suppr --error-exitcode=1 $(CPPFLAGS) \
	  --suppressions-list=tests/checks/cppcheck-suppressions \
	  common store captcha local-agent cloud-service sandbox

# With DESTDIR files are only put there: a package makes users and folders by
# systemd-sysusers and systemd-tmpfiles, and gives turing-NAME.conf to the group
# turing-NAME.
INSTALL_TO := SBINDIR='$(SBINDIR)' MANDIR='$(MANDIR)' DOCDIR='$(DOCDIR)' \
              SYSCONFDIR='$(SYSCONFDIR)' UNITDIR='$(UNITDIR)' \
              SYSUSERSDIR='$(SYSUSERSDIR)' TMPFILESDIR='$(TMPFILESDIR)' \
              DESTDIR='$(DESTDIR)' BUILD='$(BUILD)'
install: all
	@$(INSTALL_TO) ops/install
uninstall:
	@$(INSTALL_TO) ops/install remove

clean:
	rm -rf build build-*

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
