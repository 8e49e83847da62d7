/* env.h - the environment of a worker: nothing but PATH, HOME, LANG and what is named QUANTD_* or OPENBLAS_*.
 */
#ifndef SERVER_ENV_H
#define SERVER_ENV_H

/* NULL-terminated; the array is the caller's (free it), its strings belong to the process's environment. */
char **env_clean(void);

#endif
