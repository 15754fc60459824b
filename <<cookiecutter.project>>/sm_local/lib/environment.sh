# shellcheck shell=bash
# A known environment, whatever the caller exports. Every recipe and script sources this first.
# `bash -p` takes neither functions nor the shell's own options from the environment (BASH_ENV,
# SHELLOPTS, BASHOPTS). Make starts all by it; what is started by hand starts itself again so. What
# a file that BASH_ENV names has done by then, such as a `cd`, is done.
# Reads and sets no variable of ours.

export -n SHELLOPTS BASHOPTS
case $- in
  *p*) ;;
  *x*) exec "$BASH" -px -- "$0" "$@" ;;
  *) exec "$BASH" -p -- "$0" "$@" ;;
esac

# Bash itself: what it sources, finds, expands and how long `read` waits
unset BASH_ENV ENV CDPATH GLOBIGNORE POSIXLY_CORRECT TMOUT FUNCNEST EXECIGNORE BASH_COMPAT \
  BASH_XTRACEFD
SECONDS=0              # Bash goes on counting where an exported one is
# tools: what they leave out of an archive, print in other words, or wait for
unset TAR_OPTIONS TAPE GZIP PIGZ GREP_OPTIONS GREP_COLORS GREP_COLOR LS_COLORS \
  PS_FORMAT PS_PERSONALITY
# the tool's own Python, and where its packages go; jobs never see these
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONSAFEPATH PYTHONINSPECT PYTHONWARNINGS \
  PYTHONOPTIMIZE PYTHONDEVMODE PYTHONVERBOSE PYTHONDEBUG PYTHONPROFILEIMPORTTIME PYTHONCASEOK \
  PYTHONPLATLIBDIR PYTHONEXECUTABLE PYTHONIOENCODING PYTHONBREAKPOINT PYTHONTRACEMALLOC \
  PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER
