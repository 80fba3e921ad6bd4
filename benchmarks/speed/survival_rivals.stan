// The Weibull model of times_stats, by hand: effects by matrix, centred or not by data as there,
// one matrix product, one gather and one exp per patient; terms of the events summed beforehand.
// Syntax of Stan 2.21, the version of rstan in Debian 12.
data {
  int<lower=1> N;
  int<lower=1> K;
  int<lower=1> E;
  int<lower=1> G;
  int<lower=1> C;
  matrix[N, K] z;
  vector[N] log_time;
  vector[N] event;
  int<lower=1, upper=C> cohort[N];
  matrix[K, E] design;
  int<lower=1, upper=G> group[E];
  vector[7] prior;  // slope mean, slope sd, effect scale, level sd, log rate, cohort scale, shape sd
  vector[2] centred;  // slopes, cohorts: 1 centred, 0 not
}
transformed data {
  real n_events = sum(event);
}
parameters {
  real slope;
  vector<lower=0>[G] effect_scale;
  vector[E] effect_latent;
  real level;
  real<lower=0> cohort_scale;
  vector[C] cohort_latent;
  real log_shape;
}
transformed parameters {
  vector[K] beta;
  vector[C] cohort_effect;
  real intercept = level + prior[5];
  if (centred[1] == 1)
    beta = slope + design * effect_latent;
  else
    beta = slope + design * (effect_latent .* effect_scale[group]);
  if (centred[2] == 1)
    cohort_effect = cohort_latent;
  else
    cohort_effect = cohort_latent * cohort_scale;
}
model {
  vector[N] log_cumulative = intercept + z * beta + cohort_effect[cohort] + exp(log_shape) * log_time;
  target += dot_product(event, log_cumulative) + n_events * log_shape - sum(exp(log_cumulative));
  slope ~ normal(prior[1], prior[2]);
  effect_scale ~ normal(0, prior[3]);
  level ~ normal(0, prior[4]);
  cohort_scale ~ normal(0, prior[6]);
  log_shape ~ normal(0, prior[7]);
  if (centred[1] == 1)
    effect_latent ~ normal(0, effect_scale[group]);
  else
    effect_latent ~ std_normal();
  if (centred[2] == 1)
    cohort_latent ~ normal(0, cohort_scale);
  else
    cohort_latent ~ std_normal();
}
