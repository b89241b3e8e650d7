//! Connections that can be broken from outside.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Switch {
    broken: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// Breaks one connection.
#[derive(Clone)]
pub(crate) struct Breaker(Arc<Switch>);

impl Breaker {
    /// Resets the connection: the peer sees neither an answer nor an orderly end.
    pub(crate) fn reset(&self) {
        self.0.reset();
    }
}

impl Switch {
    fn reset(&self) {
        self.broken.store(true, Ordering::SeqCst);
        let waker = self
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// All connections of a server.
#[derive(Clone, Default)]
pub(crate) struct Connections(Arc<Mutex<Vec<Weak<Switch>>>>);

impl Connections {
    /// Resets every connection.
    pub(crate) fn reset(&self) {
        let switches = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for switch in switches.iter().filter_map(Weak::upgrade) {
            switch.reset();
        }
    }
}

/// A TCP listener whose connections can be reset.
pub(crate) struct BreakableListener {
    pub(crate) listener: TcpListener,
    pub(crate) connections: Connections,
}

impl Listener for BreakableListener {
    type Io = BreakableStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, address)) = self.listener.accept().await {
                let switch = Arc::new(Switch::default());
                let mut all = self
                    .connections
                    .0
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                all.retain(|switch| switch.strong_count() > 0);
                all.push(Arc::downgrade(&switch));
                return (BreakableStream { stream, switch }, address);
            }
            tokio::task::yield_now().await;
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, BreakableListener>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, BreakableListener>) -> Self {
        Self(Arc::clone(&stream.io().switch))
    }
}

/// A connection that can be reset.
pub(crate) struct BreakableStream {
    stream: TcpStream,
    switch: Arc<Switch>,
}

impl BreakableStream {
    fn check(&self) -> io::Result<()> {
        if self.switch.broken.load(Ordering::SeqCst) {
            // With this, closing sends a reset instead of an end of stream.
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for BreakableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        *self
            .switch
            .waker
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BreakableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
