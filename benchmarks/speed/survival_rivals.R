# One fit of brms or of the Stan model beside this file; writes its times and effective sample sizes.
# Called by survival_rivals.py: Rscript survival_rivals.R RIVAL DATA.json OUT.json CORES MODEL.rds|none
a <- commandArgs(TRUE)
rival <- a[1]; out <- a[3]; cores <- as.integer(a[4]); kept <- a[5]
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
suppressMessages({library(rstan); library(posterior)})
if (rival != "stan") suppressMessages(library(brms))
# Debian's BH package has no include folder of its own; Boost stands in /usr/include.
if (!nzchar(system.file("include", package = "BH"))) rstan_options(boost_lib = "/usr/include")
d <- jsonlite::fromJSON(a[2])
s <- d$settings
elapsed <- function(f) { t <- proc.time(); f(); (proc.time() - t)[["elapsed"]] }
# CPU seconds of R and of the compiler it calls
cpu <- function(f) { t <- proc.time(); f(); sum((proc.time() - t)[-3]) }

if (rival == "stan") {
  compile <- cpu(function() {
    if (file.exists(kept)) model <<- readRDS(kept)
    else {
      model <<- stan_model(file.path(here, "survival_rivals.stan"), save_dso = TRUE)
      if (kept != "none") saveRDS(model, kept)
    }
  })
  sample <- elapsed(function() fit <<- sampling(model, data = d$model, chains = s$chains, cores = cores,
    iter = s$tune + s$draws, warmup = s$tune, seed = s$seed, refresh = 0,
    control = list(adapt_delta = s$target_accept)))
  x <- as_draws_array(as.array(fit, pars = c("slope", "beta", "effect_scale", "intercept", "cohort_scale",
    "cohort_effect", "log_shape")))
} else {
  # brms as its user would write it: its defaults but for priors as weak as ours, in its own (AFT) terms;
  # "brms_careful" takes our target acceptance in place of its .8.
  m <- d$model
  frame <- data.frame(time = exp(m$log_time), event = m$event, cohort = m$cohort, m$z)
  z <- paste0("z", seq_len(ncol(m$z)))
  names(frame)[-(1:3)] <- z
  priors <- set_prior("normal(0, 0.5)", class = "b") + set_prior("normal(0, 0.5)", class = "sd")
  compile <- cpu(function() empty <<- brm(
    as.formula(paste("time | cens(1 - event) ~", paste(z, collapse = " + "), "+ (1 | cohort)")),
    frame, family = weibull(), prior = priors, chains = 0))
  control <- if (rival == "brms_careful") list(adapt_delta = s$target_accept) else NULL
  sample <- elapsed(function() fit <<- update(empty, chains = s$chains, cores = cores, iter = 2 * s$draws,
    seed = s$seed, refresh = 0, recompile = FALSE, control = control))
  x <- as_draws_array(fit)
  x <- x[, , setdiff(variables(x), c("lp__", "lprior"))]
  fit <- fit$fit
}
table <- summarise_draws(x, "mean", "sd", "rhat", "ess_bulk", "ess_tail")
# The sampler's own clock, summed over chains: cores or not, this is the work.
chains <- get_elapsed_time(fit)
writeLines(jsonlite::toJSON(list(
  compile = compile, elapsed = sample, sampling = sum(chains),
  min_ess = min(table$ess_bulk, table$ess_tail), max_rhat = max(table$rhat),
  divergences = sum(sapply(get_sampler_params(fit, inc_warmup = FALSE), function(p) sum(p[, "divergent__"]))),
  leapfrogs = mean(sapply(get_sampler_params(fit, inc_warmup = FALSE), function(p) mean(p[, "n_leapfrog__"]))),
  mean = setNames(as.list(table$mean), table$variable), sd = setNames(as.list(table$sd), table$variable),
  version = paste("brms", packageVersion("brms"), "rstan", packageVersion("rstan"), R.version.string)
), auto_unbox = TRUE, digits = NA), out)
