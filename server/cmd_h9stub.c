#include "server/cli.h"
int cmd_ledger(int c,char**v){(void)c;(void)v;return 1;}
