#include "output.h"

#include <stdio.h>

#include "fail.h"

typedef unsigned long long ull; /* for printf only */

static double per(double value, double count)
{
  return count > 0.0 ? value / count : 0.0;
}

static double ops_of(const struct runner_result *result)
{
  return (double)(result->totals.ops_applied + result->totals.ops_refused);
}

void output_table(const struct options *options, const struct runner_result *result,
                  const struct output_setup *setup)
{
  const struct generator_result *totals = &result->totals;
  const struct histogram *latencies = &totals->latencies;
  double replies = (double)totals->replies;
  if (setup->users_per_s > 0.0)
    printf("set-up       %.0f users/s, %.0f grants/s\n", setup->users_per_s, setup->grants_per_s);
  printf("load         %s, %g connections x %g, batch %g, users %s, %.2f s\n",
         options->path != NULL ? options->path : options->mix, options->connections,
         options->pipeline, options->batch, options->choice, result->seconds);
  printf("requests     %.0f/s (%llu)\n", per(replies, result->seconds), (ull)totals->replies);
  printf("ops          %.0f/s applied, %.0f/s refused\n",
         per((double)totals->ops_applied, result->seconds),
         per((double)totals->ops_refused, result->seconds));
  printf("latency us   p50 %llu  p90 %llu  p99 %llu  p99.9 %llu  max %llu\n",
         (ull)histogram_at(latencies, 0.5), (ull)histogram_at(latencies, 0.9),
         (ull)histogram_at(latencies, 0.99), (ull)histogram_at(latencies, 0.999),
         (ull)latencies->max_us);
  printf("processor    generator %.2f us/request, server %.2f us/request (%.2f us/op)\n",
         per(result->self_cpu_s * 1e6, replies), per(result->servers_cpu_s * 1e6, replies),
         per(result->servers_cpu_s * 1e6, ops_of(result)));
  if (result->stores_cpu_s > 0.0)
    printf("             store %.2f us/op\n", per(result->stores_cpu_s * 1e6, ops_of(result)));
  printf("statuses    ");
  for (unsigned status = 0; status < GENERATOR_STATUS_MAX; status++)
    if (totals->statuses[status] > 0)
      printf(" %u: %llu", status, (ull)totals->statuses[status]);
  printf("\nerrors       %llu unexpected, %llu unanswered, %llu broken, %llu unreadable, "
         "%llu reconnects, %llu failed connects\n",
         (ull)totals->unexpected, (ull)totals->unanswered, (ull)totals->broken,
         (ull)totals->bad_replies, (ull)totals->reconnects, (ull)totals->connects_failed);
}

static void text_json(const char *text)
{
  putchar('"');
  for (; *text != '\0'; text++) {
    unsigned char byte = (unsigned char)*text;
    if (byte < 0x20 || byte == '"' || byte == '\\')
      printf("\\u%04x", byte);
    else
      putchar(byte);
  }
  putchar('"');
}

static void percentiles_json(const struct histogram *latencies)
{
  /* One step per half decade of "how many are slower", as far as the count carries. */
  static const double shares[] = {0.0,     0.1,    0.25,    0.5,     0.684,  0.75,  0.9,
                                  0.95,    0.975,  0.99,    0.995,   0.9975, 0.999, 0.9995,
                                  0.99975, 0.9999, 0.99995, 0.99999, 1.0};
  printf("\"percentiles\":[");
  for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
    printf("%s[%.7g,%llu]", i > 0 ? "," : "", shares[i] * 100.0,
           (ull)histogram_at(latencies, shares[i]));
  putchar(']');
}

void output_json(const struct options *options, const struct runner_result *result,
                 const struct output_setup *setup)
{
  const struct generator_result *totals = &result->totals;
  const struct histogram *latencies = &totals->latencies;
  double replies = (double)totals->replies;
  printf("{\"mix\":");
  text_json(options->path != NULL ? options->path : options->mix);
  printf(",\"choice\":");
  text_json(options->choice);
  printf(",\"connections\":%g,\"pipeline\":%g,\"batch\":%g,\"rate\":%g,\"seconds\":%.4f",
         options->connections, options->pipeline, options->batch, options->rate, result->seconds);
  printf(",\"requests\":%llu,\"requests_per_s\":%.1f,\"ops_per_s\":%.1f", (ull)totals->replies,
         per(replies, result->seconds), per(ops_of(result), result->seconds));
  printf(",\"ops_applied\":%llu,\"ops_refused\":%llu", (ull)totals->ops_applied,
         (ull)totals->ops_refused);
  printf(",\"latency_us\":{\"mean\":%.1f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%llu,"
         "\"max\":%llu},",
         histogram_mean_us(latencies), (ull)histogram_at(latencies, 0.5),
         (ull)histogram_at(latencies, 0.9), (ull)histogram_at(latencies, 0.99),
         (ull)histogram_at(latencies, 0.999), (ull)latencies->max_us);
  percentiles_json(latencies);
  printf(",\"generator_cpu_us_per_request\":%.3f,\"server_cpu_us_per_request\":%.3f,"
         "\"server_cpu_us_per_op\":%.3f,\"server_cpu_share\":%.3f",
         per(result->self_cpu_s * 1e6, replies), per(result->servers_cpu_s * 1e6, replies),
         per(result->servers_cpu_s * 1e6, ops_of(result)),
         per(result->servers_cpu_s, result->seconds));
  if (result->stores_cpu_s > 0.0)
    printf(",\"store_cpu_us_per_op\":%.3f", per(result->stores_cpu_s * 1e6, ops_of(result)));
  printf(",\"generator_cpu_us_per_op\":%.3f", per(result->self_cpu_s * 1e6, ops_of(result)));
  printf(",\"resident_kb_before\":%llu,\"resident_kb_after\":%llu", (ull)result->resident_kb_before,
         (ull)result->resident_kb_after);
  printf(",\"statuses\":{");
  const char *comma = "";
  for (unsigned status = 0; status < GENERATOR_STATUS_MAX; status++) {
    if (totals->statuses[status] == 0)
      continue;
    printf("%s\"%u\":%llu", comma, status, (ull)totals->statuses[status]);
    comma = ",";
  }
  printf("},\"unexpected\":%llu,\"unanswered\":%llu,\"broken\":%llu,\"bad_replies\":%llu,"
         "\"reconnects\":%llu,\"connects_failed\":%llu",
         (ull)totals->unexpected, (ull)totals->unanswered, (ull)totals->broken,
         (ull)totals->bad_replies, (ull)totals->reconnects, (ull)totals->connects_failed);
  printf(",\"setup_users_per_s\":%.1f,\"setup_grants_per_s\":%.1f", setup->users_per_s,
         setup->grants_per_s);
  if (totals->unexpected_status != 0) {
    printf(",\"first_unexpected\":{\"status\":%u,\"body\":", totals->unexpected_status);
    text_json(totals->unexpected_body);
    putchar('}');
  }
  puts("}");
}
