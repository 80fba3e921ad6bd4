# Golden values of the moment estimate of the variance prior (Smyth 2004, section 6.2), written out
# with base R's digamma, trigamma and uniroot. Run in this folder: Rscript variance_prior.R
set.seed(2)
df <- rep(c(2, 3, 4), length.out = 60)
s2 <- 0.4 * 7 / rchisq(60, 7) * rchisq(60, df) / df
e <- log(s2) - digamma(df / 2) + log(df / 2)
evar <- mean(60 / 59 * (e - mean(e))^2 - trigamma(df / 2))
half <- uniroot(function(x) trigamma(x) - evar, c(1e-3, 1e5), tol = 1e-13)$root
scale <- exp(mean(e) + digamma(half) - log(half))
out <- data.frame(variance = s2, df = df, prior_df = 2 * half, prior_scale = scale)
write.csv(format(out, digits = 15), "variance_prior.csv", row.names = FALSE, quote = FALSE)
